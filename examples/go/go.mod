module bartizan.example

go 1.24
