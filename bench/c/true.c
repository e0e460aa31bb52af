/* SPDX-License-Identifier: Apache-2.0 */
/* The workload of the benchmark: exits with 0 and does nothing else, without libc or dynamic linker. */
__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("mov $231, %eax\n\txor %edi, %edi\n\tsyscall"); /* exit_group */
#elif defined(__aarch64__)
	__asm__ volatile("mov x8, #94\n\tmov x0, #0\n\tsvc 0");
#else
#error "architecture not supported"
#endif
	__builtin_unreachable();
}
