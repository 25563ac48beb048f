/* A C library of a few dozen lines for static 32-bit Linux programs: system calls, memory, numbers, time.
   It exists so that the guest programs need no i386 development packages and contain no SSE instruction:
   gcc -m32 -march=i686 -mno-sse -ffreestanding -nostdlib is enough to build everything here. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Linux i386 system call numbers (arch/x86/entry/syscalls/syscall_32.tbl). */
enum {
    SysExit = 1, SysFork = 2, SysRead = 3, SysWrite = 4, SysOpen = 5, SysClose = 6, SysExecve = 11,
    SysGetpid = 20, SysPipe = 42, SysMunmap = 91, SysWait4 = 114, SysFsync = 118, SysFlock = 143,
    SysGetppid = 64, SysLseek = 19, SysMmap2 = 192, SysFtruncate = 93, SysClockGettime = 265,
};
enum { OpenReadOnly = 0, OpenReadWrite = 2, OpenCreate = 0100, OpenAppend = 02000 };
enum { LockExclusive = 2, MapPrivateAnonymous = 0x22, ProtReadWrite = 3 };

static inline int sys0(int n) { int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n) : "memory"); return r; }
static inline int sys3(int n, int a, int b, int c)
{ int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); return r; }
static inline int sys4(int n, int a, int b, int c, int d)
{ int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d) : "memory"); return r; }
static inline int sys6(int n, int a, int b, int c, int d, int e, int f)
{
    int r; int both[2] = { a, f };   /* the sixth argument travels in EBP, which the compiler may need itself */
    __asm__ volatile("push %%ebp; mov 4(%%ebx), %%ebp; mov (%%ebx), %%ebx; int $0x80; pop %%ebp"
        : "=a"(r), "+b"((int){ (int)both }) : "a"(n), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
    return r;
}

/* Not inlined and not turned into calls of themselves (-fno-tree-loop-distribute-patterns in the build). */
static __attribute__((noinline, unused)) void *copy(void *to, const void *from, size_t n)
{ void *r = to; __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :: "memory"); return r; }
static __attribute__((noinline, unused)) void *fill(void *to, int v, size_t n)
{ void *r = to; __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(v) : "memory"); return r; }
void *memcpy(void *to, const void *from, size_t n) { return copy(to, from, n); }
void *memset(void *to, int v, size_t n) { return fill(to, v, n); }

static inline size_t length(const char *s) { size_t n = 0; while (s[n]) n++; return n; }
static inline void put(int fd, const char *s) { sys3(SysWrite, fd, (int)s, (int)length(s)); }

/* A line under construction; writes past its end stop the program. */
struct line { char text[480]; unsigned used; };
static __attribute__((unused)) void addChar(struct line *l, char c)
{ if (l->used >= sizeof l->text - 1) sys3(SysExit, 99, 0, 0); l->text[l->used++] = c; l->text[l->used] = 0; }
static __attribute__((unused)) void addText(struct line *l, const char *s) { while (*s) addChar(l, *s++); }
static __attribute__((unused)) void addNumber(struct line *l, unsigned v, unsigned digits)
{
    char t[12]; unsigned n = 0;
    do { t[n++] = (char)('0' + v % 10); v /= 10; } while (v || n < digits);
    while (n) addChar(l, t[--n]);
}
static __attribute__((unused)) void addHex(struct line *l, unsigned v)
{ for (int s = 28; s >= 0; s -= 4) addChar(l, "0123456789abcdef"[v >> s & 15]); }

/* Microseconds of CLOCK_MONOTONIC since the first call; wraps after 71 minutes. */
static __attribute__((unused)) unsigned microseconds(void)
{
    static int first; int t[2];
    sys3(SysClockGettime, 1, (int)t, 0);
    if (!first) first = t[0];
    return (unsigned)(t[0] - first) * 1000000u + (unsigned)t[1] / 1000u;
}

int run(int argc, char **argv, char **environment);
__asm__(".globl _start\n_start: xor %ebp,%ebp; mov (%esp),%eax; lea 4(%esp),%edx; lea 8(%esp,%eax,4),%ecx\n"
        "and $-16,%esp; sub $4,%esp; push %ecx; push %edx; push %eax; call start\n");
__attribute__((used)) static void start(int argc, char **argv, char **environment)
{ sys3(SysExit, run(argc, argv, environment), 0, 0); for (;;) ; }
