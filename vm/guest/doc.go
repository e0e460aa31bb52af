// Package guest is what runs inside a guest of package vm: a first process for
// a machine that has no other user space, and the record stream in which it
// reports.
//
// A program becomes the guest's init by calling [Init] first thing in main: it
// does nothing unless the program is process 1 and was started as /init. So
// one static binary serves as command on the host and as init in the guest.
//
// The stream goes over a virtio-serial port named [Port]. Host and guest
// exchange records of five bytes (kind, length) and a payload:
//
//	guest                      host
//	  | Hello  {release, ...}    |   the guest is up, what it offers
//	  | Stdout, Stderr  bytes    |   as they are written
//	  | Beat                     |   every second: the guest is alive
//	  | Warn  text               |   what init could not do
//	  | End  {exit, signal}      |   a command ended; the next one's output follows
//	  | Last                 --> |   nothing follows
//	  | <-- Ack                  |   everything has arrived; only now may the machine end
package guest
