# From a report of abidiff --harmless: the lines that say why compiled programs break. What does not break them: a structure that
# the library fills, or that says its own size, and that has grown at its end (struct_size, see bartizan.h). abidiff's own rule
# for that, has_data_member_inserted_at, passes changed members as well, and its leaf changes leave exchanged members out (2.2).
BEGIN {
    split("setting metrics request_view tls_info connection_record request_record log_record", names, " ")
    for (i in names) grows["bartizan_" names[i]]
}

/^$/ || /changes summary:/ || /with some (indirect )?sub-type changes?:$/ { next }
# The way to a change; the structure that it is in is named on it.
/has some (indirect )?sub-type changes:$/ { about = $0; next }
/has sub-type changes:$/ || /^ *in pointed to type .*:$/ || /^ *in unqualified underlying type .*:$/ || /^ *underlying type .* changed:$/ {
    if (match($0, /struct bartizan_[a-z_]+/)) { name = substr($0, RSTART + 7, RLENGTH - 7); size = -1 }
    next
}
name in grows && /^ *type size changed from [0-9]+ to [0-9]+ \(in bits\)$/ { split($0, word, /from | to /); size = word[2] + 0; next }
name in grows && /^ *[0-9]+ data member insertions?:$/ { next }
name in grows && size >= 0 && /, at offset [0-9]+ \(in bits\)$/ { split($0, word, "at offset "); if (word[2] + 0 >= size) next }
{ if (about) print about; about = ""; print }
