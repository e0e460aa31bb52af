module github.com/holdshort/holdshort

go 1.26
