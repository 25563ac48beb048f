/* The services: TCP echo (RFC 862) on port 7, HTTP/1.1 on port 80 with connections that stay open. */
#include "guest.h"

enum { PortEcho = 7, PortHttp = 80, ResponseMax = 1400 };

bool serviceExists(u16 port) { return port == PortEcho || port == PortHttp; }

static void respond(struct connection *c, struct http *h, bool head, const char *status, const char *type, const char *body)
{
    char text[ResponseMax];
    u32 n = format(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %u\r\nCache-Control: no-store\r\n%s\r\n%s",
        status, type, length(body), h->close ? "Connection: close\r\n" : "", head ? "" : body);
    tcpQueue(c, text, n);
    if (h->close) tcpClose(c);
}

static void dispatch(struct connection *c, struct http *h)
{
    char body[ResponseMax - 200];
    bool head = startsWith(h->request, "HEAD "), get = startsWith(h->request, "GET ");
    char *path = h->request + (head ? 5 : 4), *end = path;
    if (!head && !get) {
        h->close = true;                                /* a body may follow that nobody reads */
        respond(c, h, false, "405 Method Not Allowed", "text/plain", "GET and HEAD only\n");
        return;
    }
    while (*end && *end != ' ' && *end != '?') end++;
    bool modern = false;
    for (char *p = end; *p; p++) if (startsWith(p, " HTTP/1.1")) modern = true;
    if (!modern) h->close = true;
    *end = 0;
    if (same(path, "/count")) {
        if (get) counter++;                             /* written to the disk by diskTick */
        format(body, sizeof body, "%u\n", counter);
        respond(c, h, head, "200 OK", "text/plain", body);
    } else if (same(path, "/state")) {
        format(body, sizeof body, "address %i\ncounter %u\nuptime %u\nconnections %u\nconnections-total %u\nframes-in %u\nframes-out %u\nsegments-repeated %u\ndisk %s\n",
            ownAddress, counter, ticks / TicksPerSecond, connectionsOpen, connectionsTotal, framesIn, framesOut, segmentsRepeated, diskState);
        respond(c, h, head, "200 OK", "text/plain", body);
    } else if (same(path, "/")) {
        format(body, sizeof body, "<!doctype html><title>Emu86</title><h1>The embedded guest of Emu86</h1>"
            "<p>Address %i (%m), up %u s.<p>Counter <b>%u</b> (<a href=/count>one more</a>; disk: %s)."
            "<p>%u connections now, %u in all; frames: %u in, %u out; segments sent again: %u.<p><a href=/state>as text</a>\n",
            ownAddress, mac, ticks / TicksPerSecond, counter, diskState, connectionsOpen, connectionsTotal, framesIn, framesOut, segmentsRepeated);
        respond(c, h, head, "200 OK", "text/html", body);
    } else respond(c, h, head, "404 Not Found", "text/plain", "there is /, /count and /state\n");
}

/* Lower case, spaces dropped: enough to recognise the one header that matters. */
static bool asksToClose(const char *line)
{
    char packed[24];
    u32 n = 0;
    for (; *line && n < sizeof packed - 1; line++) if (*line != ' ') packed[n++] = *line >= 'A' && *line <= 'Z' ? *line | 32 : *line;
    packed[n] = 0;
    return same(packed, "connection:close");
}

u32 serviceInput(struct connection *c, struct http *h, u16 port, const u8 *data, u32 n)
{
    if (port == PortEcho) {
        u32 room = tcpRoom(c);
        if (n > room) n = room;
        tcpQueue(c, data, n);
        return n;
    }
    u32 taken = 0;
    while (taken < n && tcpRoom(c) >= ResponseMax) {
        if (h->close && h->haveRequest && h->used == 0xFFFF) return n;      /* answered for the last time: the rest is dropped */
        char ch = (char)data[taken++];
        if (ch == '\r') continue;
        if (ch != '\n') { if (h->used < RequestLineMax - 1) h->line[h->used++] = ch; continue; }
        h->line[h->used] = 0;
        if (h->used && !h->haveRequest) { memcpy(h->request, h->line, h->used + 1u); h->haveRequest = true; h->close = false; }
        else if (h->used) h->close |= asksToClose(h->line);
        else if (h->haveRequest) {
            dispatch(c, h);
            if (h->close) { h->used = 0xFFFF; continue; }
            h->haveRequest = false;
        }
        h->used = 0;
    }
    return taken;
}
