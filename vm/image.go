package vm

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// decompress writes the ELF image that is inside a bzImage to path to. Which
// compression it has is told by its magic; those of Debian's kernels are
// known: LZ4's legacy format (up to 6.1) and zstd.
func decompress(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	formats := []struct {
		magic []byte
		open  func(io.Reader) (io.Reader, func(), error)
	}{
		{[]byte{0x28, 0xb5, 0x2f, 0xfd}, func(r io.Reader) (io.Reader, func(), error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(1<<30))
			if err != nil {
				return nil, nil, err
			}
			return d, d.Close, nil
		}},
		{[]byte{0x02, 0x21, 0x4c, 0x18}, func(r io.Reader) (io.Reader, func(), error) {
			return lz4.NewReader(r), func() {}, nil
		}},
	}
	for _, f := range formats {
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], f.magic)
			if i < 0 {
				break
			}
			at += i
			r, done, err := f.open(bytes.NewReader(b[at:]))
			if err != nil {
				return err
			}
			var out bytes.Buffer
			_, err = io.Copy(&out, r) // what follows the image in the file is no error of ours
			done()
			if isKernel(out.Bytes()) {
				return os.WriteFile(to, out.Bytes(), 0o644)
			}
			_ = err
		}
	}
	return fmt.Errorf("vm: no image in a known compression in %s", from)
}

// isKernel tells whether b is a complete ELF image that starts by PVH, the
// only form of an ELF that QEMU starts directly.
func isKernel(b []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Off+p.Filesz > uint64(len(b)) {
			return false
		}
	}
	return pvhNote(f) == nil
}

// pvhNote looks for XEN_ELFNOTE_PHYS32_ENTRY (include/xen/interface/elfnote.h).
func pvhNote(f *elf.File) error {
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		b, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		for len(b) >= 12 {
			o := f.ByteOrder
			nameLen, descLen, kind := o.Uint32(b), o.Uint32(b[4:]), o.Uint32(b[8:])
			size := 12 + uint64(nameLen+3)&^3 + uint64(descLen+3)&^3
			if size > uint64(len(b)) {
				break
			}
			if bytes.HasPrefix(b[12:], []byte("Xen\x00")) && kind == 18 {
				return nil
			}
			b = b[size:]
		}
	}
	return errors.New("no PVH entry")
}
