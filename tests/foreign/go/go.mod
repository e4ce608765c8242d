module bartizan.example/misuse

go 1.24

require bartizan.example v0.0.0

replace bartizan.example => ../../../examples/go
