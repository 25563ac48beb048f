// Runs single instructions natively in 32- and 16-bit code segments of a 64-bit Linux process, and tells what they did.
// Freestanding: no thread-local storage, so that the instructions may load FS and GS. Everything the instructions can reach lies
// below 4 GiB, this program above it. A case is entered by IRET and always ends in a signal: the code segment is full of HLT.
// Requests: length, then cases. Answers: length, then results. See CompatHost.cs for the layouts, which are these structs.
#define _GNU_SOURCE
#include <stdint.h>
#include <stddef.h>
#include <errno.h>
#include <signal.h>
#include <ucontext.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <asm/ldt.h>

struct header { uint32_t ldt_entries, region_count; };
struct region { uint32_t at, length, writable; };

struct patch { uint32_t at, length; uint8_t bytes[]; };      // padded to 4

struct test {
    uint32_t gpr[8], eip, eflags;                            // EAX ECX EDX EBX ESP EBP ESI EDI
    uint16_t es, cs, ss, ds, fs, gs;
    uint32_t with_fpu, patch_count;
    uint8_t fpu[108];
};

struct result {
    uint32_t gpr[8], eip, eflags;
    uint16_t es, cs, ss, ds, fs, gs;
    uint32_t vector, error, cr2, difference_count;
    uint8_t fpu[160];                                        // the beginning of an FXSAVE image
};

struct difference { uint32_t at, value; };

enum { REGIONS_MAX = 16, DIFFERENCES_MAX = 1024, BUFFER = 8 << 20, PAGE = 4096, ENDLESS = 999 };

static struct region regions[REGIONS_MAX];
static uint8_t *alias[REGIONS_MAX], *pristine[REGIONS_MAX], *expected[REGIONS_MAX];
static uint32_t region_count;
static uint8_t input[BUFFER], output[BUFFER], signal_stack[1 << 16];
static struct result *current, *seen_by_timer;
__attribute__((used)) static uint64_t saved_rsp;

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
        : "rcx", "r11", "memory");
    return result;
}

static void leave(int code)
{
    for (;;) call(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

void *memcpy(void *to, const void *from, size_t length)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return result;
}

void *memset(void *to, int value, size_t length)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return result;
}

static void read_all(void *to, size_t length)
{
    for (size_t done = 0; done < length;) {
        long n = call(SYS_read, 0, (long)((char *)to + done), (long)(length - done), 0, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) leave(n == 0 && done == 0 ? 0 : 2);
        done += (size_t)n;
    }
}

static void write_all(const void *from, size_t length)
{
    for (size_t done = 0; done < length;) {
        long n = call(SYS_write, 1, (long)((const char *)from + done), (long)(length - done), 0, 0, 0);
        if (n == -EINTR) continue;
        if (n <= 0) leave(3);
        done += (size_t)n;
    }
}

void enter(struct test *test, uint8_t *frame);
void resume(void);
void restore(void);

// In 64-bit code the segment registers but CS are of no meaning; the case gets its registers in the order that leaves RDI for last.
__asm__(
    ".text\n"
    "enter:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, saved_rsp(%rip)\n"
    "  mov %rsi, %rsp\n"
    "  cmpl $0, 52(%rdi)\n"
    "  je 1f\n"
    "  frstor 60(%rdi)\n"
    "1: mov 40(%rdi), %ax; mov %ax, %es\n"
    "  mov 46(%rdi), %ax; mov %ax, %ds\n"
    "  mov 48(%rdi), %ax; mov %ax, %fs\n"
    "  mov 50(%rdi), %ax; mov %ax, %gs\n"
    "  movzwl 44(%rdi), %eax; push %rax\n"
    "  mov 16(%rdi), %eax; push %rax\n"
    "  mov 36(%rdi), %eax; push %rax\n"
    "  movzwl 42(%rdi), %eax; push %rax\n"
    "  mov 32(%rdi), %eax; push %rax\n"
    "  mov 0(%rdi), %eax; mov 4(%rdi), %ecx; mov 8(%rdi), %edx; mov 12(%rdi), %ebx\n"
    "  mov 20(%rdi), %ebp; mov 24(%rdi), %esi; mov 28(%rdi), %edi\n"
    "  iretq\n"
    "resume:\n"
    "  mov saved_rsp(%rip), %rsp\n"
    "  push $0x202; popfq\n"                                // the return from a signal leaves NT and ID as they are
    "  fninit\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n"
    "restore:\n"
    "  mov $15, %eax\n"
    "  syscall\n");

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct result *x = current;
    if (number == SIGVTALRM) {
        // A case that is still there at the next tick does not end by itself.
        int in_case = (r[REG_CSGSFS] & 0xffff) != 0x33;
        if (!in_case || seen_by_timer != x) {
            seen_by_timer = in_case ? x : 0;
            return;
        }
        r[REG_TRAPNO] = ENDLESS;
    }
    if (!x) leave(4);
    x->gpr[0] = (uint32_t)r[REG_RAX]; x->gpr[1] = (uint32_t)r[REG_RCX]; x->gpr[2] = (uint32_t)r[REG_RDX]; x->gpr[3] = (uint32_t)r[REG_RBX];
    x->gpr[4] = (uint32_t)r[REG_RSP]; x->gpr[5] = (uint32_t)r[REG_RBP]; x->gpr[6] = (uint32_t)r[REG_RSI]; x->gpr[7] = (uint32_t)r[REG_RDI];
    x->eip = (uint32_t)r[REG_RIP];
    x->eflags = (uint32_t)r[REG_EFL];
    x->cs = (uint16_t)r[REG_CSGSFS];
    x->ss = (uint16_t)(r[REG_CSGSFS] >> 48);
    __asm__ volatile("mov %%es, %0" : "=r"(x->es));
    __asm__ volatile("mov %%ds, %0" : "=r"(x->ds));
    __asm__ volatile("mov %%fs, %0" : "=r"(x->fs));
    __asm__ volatile("mov %%gs, %0" : "=r"(x->gs));
    x->vector = (uint32_t)r[REG_TRAPNO];
    x->error = (uint32_t)r[REG_ERR];
    x->cr2 = (uint32_t)r[REG_CR2];
    memcpy(x->fpu, ((ucontext_t *)context)->uc_mcontext.fpregs, sizeof x->fpu);
    r[REG_RIP] = (greg_t)(uintptr_t)resume;
    r[REG_RSP] = (greg_t)saved_rsp;
    r[REG_EFL] = 0x202;
    r[REG_CSGSFS] = (greg_t)(0x33ULL | 0x2bULL << 48);
}

static uint8_t *at_in(uint8_t **copies, uint32_t at, uint32_t length)
{
    for (uint32_t n = 0; n < region_count; n++)
        if (at >= regions[n].at && at - regions[n].at + length <= regions[n].length) return copies[n] + (at - regions[n].at);
    leave(5);
    return 0;
}

static void set_up(void)
{
    struct header header;
    read_all(&header, sizeof header);
    region_count = header.region_count;
    if (region_count > REGIONS_MAX) leave(6);
    for (uint32_t n = 0; n < region_count; n++) {
        struct region *r = &regions[n];
        read_all(r, sizeof *r);
        long file = call(SYS_memfd_create, (long)"guest", 0, 0, 0, 0, 0);
        if (file < 0 || call(SYS_ftruncate, file, r->length, 0, 0, 0, 0)) leave(7);
        // Every page may be executed, as without NX; this program writes through another mapping.
        long low = call(SYS_mmap, r->at, r->length, PROT_READ | PROT_EXEC | (r->writable ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, file, 0);
        alias[n] = (uint8_t *)call(SYS_mmap, 0, r->length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        pristine[n] = (uint8_t *)call(SYS_mmap, 0, 2 * r->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (low != (long)r->at || (long)alias[n] < 0 || (long)pristine[n] < 0) leave(8);
        expected[n] = pristine[n] + r->length;
        for (uint32_t i = 0; i < r->length; i += PAGE) (void)*(volatile uint8_t *)(uintptr_t)(r->at + i);
        read_all(alias[n], r->length);
        memcpy(pristine[n], alias[n], r->length);
        memcpy(expected[n], alias[n], r->length);
    }
    uint32_t refused = 0;
    for (uint32_t n = 0; n < header.ldt_entries; n++) {
        struct user_desc entry;
        read_all(&entry, sizeof entry);
        if (call(SYS_modify_ldt, 0x11, (long)&entry, sizeof entry, 0, 0, 0)) refused |= 1u << n;
    }
    stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack };
    call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0);
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } action =
        { (void *)on_signal, SA_SIGINFO | SA_ONSTACK | 0x04000000, (void *)restore, ~0UL };
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGVTALRM };
    for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++) call(SYS_rt_sigaction, signals[n], (long)&action, 0, 8, 0, 0);
    struct { long seconds, microseconds; } tick[2] = { { 0, 50000 }, { 0, 50000 } };
    call(SYS_setitimer, 1, (long)tick, 0, 0, 0, 0);
    write_all(&refused, sizeof refused);
}

// Appends what differs from the memory the case began with, and puts everything back.
static uint8_t *collect(struct result *x, uint8_t *out)
{
    for (uint32_t n = 0; n < region_count; n++) {
        if (!regions[n].writable) continue;
        for (uint32_t i = 0; i < regions[n].length; i += 8) {
            if (*(uint64_t *)(alias[n] + i) == *(uint64_t *)(expected[n] + i)) continue;
            for (uint32_t k = i; k < i + 8; k++) {
                if (alias[n][k] == expected[n][k]) continue;
                if (x->difference_count++ < DIFFERENCES_MAX) {
                    struct difference d = { regions[n].at + k, alias[n][k] };
                    memcpy(out, &d, sizeof d);
                    out += sizeof d;
                }
            }
            memcpy(alias[n] + i, expected[n] + i, 8);
        }
    }
    return out;
}

// IRET to a 16-bit stack loads SP alone: bits 31 to 16 of ESP are those of the stack that it popped from.
static uint8_t *frame_for(uint32_t upper)
{
    static const uint32_t known[] = { 0x0000, 0x1234 };
    static uint8_t *at[2], other[512];
    for (int n = 0; n < 2; n++) {
        if (upper != known[n]) continue;
        if (!at[n]) {
            long wanted = 0x7e0000000000 | (long)upper << 16;
            at[n] = (uint8_t *)call(SYS_mmap, wanted, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if ((long)at[n] != wanted) leave(11);
        }
        return at[n] + PAGE;
    }
    return other + sizeof other;
}

static void serve(void)
{
    for (;;) {
        uint32_t length;
        read_all(&length, sizeof length);
        if (length > BUFFER) leave(9);
        read_all(input, length);
        uint8_t *in = input, *out = output;
        while (in < input + length) {
            if (out + sizeof(struct result) + DIFFERENCES_MAX * sizeof(struct difference) > output + BUFFER) leave(10);
            struct test *test = (struct test *)in;
            in += sizeof *test;
            uint8_t *patches = in;
            for (uint32_t n = 0; n < test->patch_count; n++) {
                struct patch *p = (struct patch *)in;
                memcpy(at_in(alias, p->at, p->length), p->bytes, p->length);
                memcpy(at_in(expected, p->at, p->length), p->bytes, p->length);
                in += sizeof *p + ((p->length + 3) & ~3u);
            }
            current = (struct result *)out;
            memset(current, 0, sizeof *current);
            enter(test, frame_for(test->gpr[4] >> 16));
            seen_by_timer = 0;
            out = collect(current, out + sizeof *current);
            in = patches;
            for (uint32_t n = 0; n < test->patch_count; n++) {
                struct patch *p = (struct patch *)in;
                memcpy(at_in(alias, p->at, p->length), at_in(pristine, p->at, p->length), p->length);
                memcpy(at_in(expected, p->at, p->length), at_in(pristine, p->at, p->length), p->length);
                in += sizeof *p + ((p->length + 3) & ~3u);
            }
        }
        length = (uint32_t)(out - output);
        write_all(&length, sizeof length);
        write_all(output, length);
    }
}

__attribute__((force_align_arg_pointer)) void _start(void)
{
    set_up();
    serve();
}
