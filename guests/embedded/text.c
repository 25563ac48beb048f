/* Memory, strings and formatting: what a C library would bring. */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t n)
{
    void *result = to;
    size_t words = n >> 2;
    __asm__ volatile("cld; rep movsl; mov %3, %%ecx; rep movsb"
        : "+D"(to), "+S"(from), "+c"(words) : "r"(n & 3) : "memory");
    return result;
}

void *memset(void *to, int value, size_t n)
{
    void *result = to;
    __asm__ volatile("cld; rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n; n--, x++, y++) if (*x != *y) return *x - *y;
    return 0;
}

u32 length(const char *s) { u32 n = 0; while (s[n]) n++; return n; }
bool same(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return *a == *b; }
bool startsWith(const char *s, const char *prefix) { while (*prefix) if (*s++ != *prefix++) return false; return true; }

struct sink { char *to; u32 size, used; };
static void add(struct sink *s, char c) { if (s->used + 1 < s->size) s->to[s->used++] = c; }

static void addNumber(struct sink *s, u32 v, u32 base, u32 digits)
{
    char text[10];
    u32 n = 0;
    do text[n++] = "0123456789abcdef"[v % base]; while ((v /= base) || n < digits);
    while (n) add(s, text[--n]);
}

u32 formatList(char *to, u32 size, const char *form, va_list arguments)
{
    struct sink s = { to, size, 0 };
    for (; *form; form++) {
        if (*form != '%') { add(&s, *form); continue; }
        switch (*++form) {
            case 's': for (const char *t = va_arg(arguments, const char *); *t; t++) add(&s, *t); break;
            case 'u': addNumber(&s, va_arg(arguments, u32), 10, 1); break;
            case 'x': addNumber(&s, va_arg(arguments, u32), 16, 1); break;
            case 'c': add(&s, (char)va_arg(arguments, int)); break;
            case 'i': {
                u32 a = va_arg(arguments, u32);
                for (int shift = 24; shift >= 0; shift -= 8) { addNumber(&s, a >> shift & 255, 10, 1); if (shift) add(&s, '.'); }
                break;
            }
            case 'm': {
                const u8 *m = va_arg(arguments, const u8 *);
                for (u32 i = 0; i < 6; i++) { addNumber(&s, m[i], 16, 2); if (i < 5) add(&s, ':'); }
                break;
            }
            default: add(&s, *form);
        }
    }
    s.to[s.used] = 0;
    return s.used;
}

u32 format(char *to, u32 size, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    u32 n = formatList(to, size, form, arguments);
    va_end(arguments);
    return n;
}

bool readAddress(const char **s, u32 *address)
{
    u32 result = 0;
    for (u32 i = 0; i < 4; i++) {
        u32 part = 0, digits = 0;
        for (; **s >= '0' && **s <= '9' && digits < 3; (*s)++, digits++) part = part * 10 + (u32)(**s - '0');
        if (!digits || part > 255 || (i < 3 && *(*s)++ != '.')) return false;
        result = result << 8 | part;
    }
    *address = result;
    return true;
}
