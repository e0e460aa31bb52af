#!/bin/sh
# A runtime that refuses newer versions of the specification, told that a bundle
# is of version 1.0.2: OLD_RUNTIME is the runtime. It is what an engine such as
# crun 1.8 needs for programs that write the newest version into each bundle.
for a in "$@"; do
	case $a in
	--bundle=*) [ -f "${a#--bundle=}/config.json" ] && sed -i 's/"ociVersion": *"1\.[1-9][^"]*"/"ociVersion":"1.0.2"/' "${a#--bundle=}/config.json" ;;
	esac
	[ "$before" = --bundle ] || [ "$before" = -b ] && [ -f "$a/config.json" ] && sed -i 's/"ociVersion": *"1\.[1-9][^"]*"/"ociVersion":"1.0.2"/' "$a/config.json"
	before=$a
done
exec "${OLD_RUNTIME:-crun}" "$@"
