/* The web services of the guest, run by busybox httpd as CGI programs: `count` and `append` by the name called.
   In C because an answer then costs one small exec instead of a shell, and because flock makes the update
   atomic however many requests arrive at once, and leaves no lock behind when a client goes away. */
#include "../../bench/tiny.h"

static char buffer[65536];

static const char *variable(char **environment, const char *name)
{
    size_t n = length(name);
    for (; *environment; environment++) {
        size_t i = 0;
        while (i < n && (*environment)[i] == name[i]) i++;
        if (i == n && (*environment)[n] == '=') return *environment + n + 1;
    }
    return "";
}

static int hexDigit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int answer(const char *status, const char *type, const char *body)
{
    struct line l = { .used = 0 };
    addText(&l, "HTTP/1.0 "); addText(&l, status);
    addText(&l, "\r\nContent-Type: "); addText(&l, type);
    addText(&l, "\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: ");
    addNumber(&l, length(body), 1); addText(&l, "\r\n\r\n"); addText(&l, body);
    put(1, l.text);
    return 0;
}

static int fail(const char *what) { return answer("500 Internal Server Error", "text/plain", what); }

static int openLocked(const char *path, int flags)
{
    int fd = sys3(SysOpen, (int)path, flags | OpenCreate, 0644);
    if (fd >= 0) sys3(SysFlock, fd, LockExclusive, 0);
    return fd;
}

/* The counter lives on tmpfs: it belongs to this boot, like the memory it stands for. */
static int count(void)
{
    int fd = openLocked("/run/count", OpenReadWrite);
    if (fd < 0) return fail("cannot open /run/count\n");
    char old[16]; int n = sys3(SysRead, fd, (int)old, sizeof old); unsigned value = 0;
    for (int i = 0; i < n && old[i] >= '0' && old[i] <= '9'; i++) value = value * 10 + (unsigned)(old[i] - '0');
    struct line l = { .used = 0 }; addNumber(&l, value + 1, 1); addText(&l, "\n");
    sys3(SysLseek, fd, 0, 0);
    if (sys3(SysWrite, fd, (int)l.text, (int)l.used) != (int)l.used) return fail("cannot write /run/count\n");
    return answer("200 OK", "text/plain", l.text);
}

/* The log lives on the root file system: memory when started from the initrd, the disk when started from it,
   and then the answer is sent only after the line is on the disk. */
static int append(const char *query)
{
    int fd = openLocked("/data/log.txt", OpenReadWrite | OpenAppend);
    if (fd < 0) return fail("cannot open /data/log.txt\n");
    unsigned lines = 0; int n;
    while ((n = sys3(SysRead, fd, (int)buffer, sizeof buffer)) > 0)
        for (int i = 0; i < n; i++) lines += buffer[i] == '\n';
    struct line l = { .used = 0 };
    for (; *query && l.used < sizeof l.text - 2; query++) {
        char c = *query;
        if (c == '+') c = ' ';
        else if (c == '%' && hexDigit(query[1]) >= 0 && hexDigit(query[2]) >= 0) {
            c = (char)(hexDigit(query[1]) << 4 | hexDigit(query[2])); query += 2;
        }
        addChar(&l, c == '\n' || c == '\r' || c == 0 ? ' ' : c);
    }
    addChar(&l, '\n');
    if (sys3(SysWrite, fd, (int)l.text, (int)l.used) != (int)l.used) return fail("cannot write /data/log.txt\n");
    if (sys3(SysFsync, fd, 0, 0) < 0) return fail("cannot sync /data/log.txt\n");
    struct line number = { .used = 0 }; addNumber(&number, lines + 1, 1); addText(&number, "\n");
    return answer("200 OK", "text/plain", number.text);
}

int run(int argc, char **argv, char **environment)
{
    const char *name = argc > 0 ? argv[0] : "";
    for (const char *p = name; *p; p++) if (*p == '/') name = p + 1;
    return name[0] == 'a' ? append(variable(environment, "QUERY_STRING")) : count();
}
