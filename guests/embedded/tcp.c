/* TCP for a server (RFC 9293): passive opens, a fixed table of connections, retransmission with a measured timeout
   (RFC 6298), slow start and congestion avoidance (RFC 5681), fast retransmit (RFC 6582), zero-window probes, keep-alives,
   a short TIME-WAIT. Segments out of order are dropped and asked for again: loss costs time, never data. */
#include "guest.h"

enum {
    Fin = 1, Syn = 2, Rst = 4, Psh = 8, AckFlag = 16, HeaderBytes = 20, Mss = 1460, CardBytes = 9 * Mss,
    RtoFirst = TicksPerSecond / 2, RtoMin = TicksPerSecond / 5, RtoMax = 8 * TicksPerSecond, RetriesMax = 14,
    TimeWait = TicksPerSecond, FinWait = 10 * TicksPerSecond, SynWait = 20 * TicksPerSecond,
    KeepAliveAfter = 120 * TicksPerSecond, KeepAliveEvery = 10 * TicksPerSecond, KeepAliveTries = 6,
};

struct connection {
    enum { Free, SynReceived, Open, Waiting } state;
    struct peer peer;
    u16 peerPort, port;
    u32 una, next, top;                 /* sent: oldest not acknowledged, next to send, highest ever sent */
    u32 peerWindow, windowSeq, windowAck, mss, congestion, threshold, duplicates, recover;
    u32 receive, advertised;            /* next expected, right edge of the window that was told */
    u32 rto, smoothed, variation, timedSeq, timedAt;    /* smoothed * 8, variation * 4, in ticks */
    u32 deadline, retries, lastHeard, probes, since;
    bool timing, timerOn, recovering, ackNow, closing, finSent, finAcked, peerFinished, closedFirst;
    u32 head, used;                     /* send buffer: the byte at head has sequence number una */
    struct http http;
    u8 buffer[SendBufferBytes];
};

u32 connectionsOpen, connectionsTotal, segmentsRepeated;
static struct connection table[ConnectionsMax];

static u32 least(u32 a, u32 b) { return a < b ? a : b; }
static bool before(u32 a, u32 b) { return (i32)(a - b) < 0; }
static void arm(struct connection *c, u32 wait) { c->timerOn = true; c->deadline = ticks + wait; }

u32 tcpRoom(const struct connection *c) { return SendBufferBytes - c->used; }
void tcpClose(struct connection *c) { c->closing = true; }

void tcpQueue(struct connection *c, const void *data, u32 n)
{
    u32 at = (c->head + c->used) % SendBufferBytes, first = least(n, SendBufferBytes - at);
    memcpy(c->buffer + at, data, first);
    memcpy(c->buffer, (const u8 *)data + first, n - first);
    c->used += n;
}

/* The window: what the service can surely take, and at most this connection's share of the card's 14 KiB of memory,
   which all of them fill at once. Its right edge never moves back, and moves on in large steps only. */
static u32 window(struct connection *c)
{
    u32 share = CardBytes / (connectionsOpen ? connectionsOpen : 1);
    u32 edge = c->receive + least(tcpRoom(c), share < Mss ? Mss : share);
    if (!before(edge, c->advertised + Mss)) c->advertised = edge;
    return before(c->advertised, c->receive) ? 0 : c->advertised - c->receive;
}

static u16 segmentChecksum(u32 address, const u8 *segment, u32 n)
{
    u8 pseudo[12];
    put32(pseudo, ownAddress); put32(pseudo + 4, address);
    put16(pseudo + 8, 6); put16(pseudo + 10, n);
    return checksumEnd(checksumAdd(checksumAdd(0, pseudo, sizeof pseudo), segment, n));
}

static u8 *header(const struct peer *to, u16 port, u16 peerPort, u32 seq, u32 ack, u32 flags, u32 wnd)
{
    u8 *s = ipPayload(to, 6);
    if (!s) return NULL;
    put16(s, port); put16(s + 2, peerPort); put32(s + 4, seq); put32(s + 8, ack);
    s[12] = HeaderBytes / 4 << 4; s[13] = (u8)flags; put16(s + 14, wnd); put32(s + 16, 0);
    return s;
}

static void finish(const struct peer *to, u8 *s, u32 n)
{
    put16(s + 16, segmentChecksum(to->address, s, n));
    ipSend(n);
}

/* False when the card's queue is full; the timer will try again. */
static bool sendSegment(struct connection *c, u32 seq, u32 flags, u32 n)
{
    u8 *s = header(&c->peer, c->port, c->peerPort, seq, c->receive, flags | AckFlag, window(c));
    if (!s) return false;
    u32 at = (c->head + (seq - c->una)) % SendBufferBytes, first = least(n, SendBufferBytes - at);
    memcpy(s + HeaderBytes, c->buffer + at, first);
    memcpy(s + HeaderBytes + first, c->buffer, n - first);
    c->ackNow = false;
    if (n && before(seq, c->top)) segmentsRepeated++;
    finish(&c->peer, s, HeaderBytes + n);
    return true;
}

static void sendSynAck(struct connection *c)
{
    u8 *s = header(&c->peer, c->port, c->peerPort, c->una, c->receive, Syn | AckFlag, window(c));
    if (!s) return;
    s[12] = 24 / 4 << 4; s[20] = 2; s[21] = 4; put16(s + 22, Mss);
    finish(&c->peer, s, 24);
}

static void sendReset(const struct peer *to, const u8 *in, u32 length)
{
    if (in[13] & Rst) return;
    u32 ack = get32(in + 4) + length + (in[13] & Syn ? 1 : 0) + (in[13] & Fin ? 1 : 0);
    u8 *s = in[13] & AckFlag ? header(to, get16(in + 2), get16(in), get32(in + 8), 0, Rst, 0)
                             : header(to, get16(in + 2), get16(in), 0, ack, Rst | AckFlag, 0);
    if (s) finish(to, s, HeaderBytes);
}

static void release(struct connection *c, const char *why)
{
    if (c->state == Open) connectionsOpen--;
    if (why) say("connection %i:%u to port %u %s", c->peer.address, (u32)c->peerPort, (u32)c->port, why);
    c->state = Free;
}

/* Sends what windows and buffer allow, the end after the last byte, and an acknowledgement if one is owed. */
static void output(struct connection *c)
{
    while (c->state == Open && !c->finAcked) {
        u32 inFlight = c->next - c->una;
        if (inFlight > c->used) break;                  /* the end is under way */
        u32 allowed = least(c->peerWindow, c->congestion), waiting = c->used - inFlight;
        u32 n = least(least(waiting, allowed > inFlight ? allowed - inFlight : 0), c->mss);
        bool fin = c->closing && n == waiting;
        if (!n && !fin) break;
        if (n < c->mss && n < waiting && inFlight) break;       /* no small pieces while a larger one will fit soon */
        if (!sendSegment(c, c->next, (n == waiting ? Psh : 0) | (fin ? Fin : 0), n)) break;
        if (!c->timing && !before(c->next, c->top)) { c->timing = true; c->timedSeq = c->next + n; c->timedAt = ticks; }
        c->next += n + fin;
        if (before(c->top, c->next)) c->top = c->next;
        if (fin && !c->finSent) { c->finSent = true; c->closedFirst = !c->peerFinished; }
        if (!c->timerOn) arm(c, c->rto);
        if (fin) break;
    }
    if (c->state == Open && !c->timerOn && (c->used || (c->closing && !c->finAcked))) arm(c, c->rto);  /* a probe, or the queue was full */
    if (c->ackNow && c->state != Free) sendSegment(c, c->next, 0, 0);
}

static void backOff(struct connection *c) { c->rto = least(c->rto * 2, RtoMax); arm(c, c->rto); }

static void timeout(struct connection *c)
{
    c->timerOn = false;
    if (c->state == Waiting) { release(c, NULL); return; }
    if (c->state == SynReceived) {
        if (ticks - c->since > SynWait) { release(c, NULL); return; }
        sendSynAck(c);
        backOff(c);
        return;
    }
    if (c->finAcked) { release(c, NULL); return; }      /* the peer never closed its side */
    if (++c->retries > RetriesMax) { release(c, "given up"); return; }
    c->timing = c->recovering = false;
    if (!c->peerWindow && c->used) {                    /* one byte into the closed window: its answer tells the window */
        sendSegment(c, c->una, Psh, 1);
        if (c->next == c->una) { c->next++; if (before(c->top, c->next)) c->top = c->next; }
    } else {
        u32 half = (c->top - c->una) / 2;
        c->threshold = half > 2 * c->mss ? half : 2 * c->mss;
        c->congestion = c->mss;
        c->next = c->una;
        output(c);
    }
    backOff(c);
}

static void measure(struct connection *c)
{
    u32 sample = ticks - c->timedAt + 1;
    if (!c->smoothed) { c->smoothed = sample * 8; c->variation = sample * 2; }
    else {
        i32 error = (i32)sample - (i32)(c->smoothed / 8);
        c->smoothed = (u32)((i32)c->smoothed + error);
        c->variation = (u32)((i32)c->variation + (error < 0 ? -error : error) - (i32)(c->variation / 4));
    }
    c->timing = false;
}

/* One segment at the oldest unacknowledged byte. */
static void sendOldest(struct connection *c)
{
    u32 n = least(c->used, c->mss);
    c->timing = false;
    if (n) sendSegment(c, c->una, Psh | (c->finSent && n == c->used ? Fin : 0), n);
}

static void acknowledge(struct connection *c, u32 seq, u32 ack, u32 wnd, u32 length)
{
    if (before(c->top, ack)) { c->ackNow = true; return; }      /* for something never sent */
    if (ack == c->una) {
        if (c->una != c->top && !length && wnd == c->peerWindow && ++c->duplicates == 3) {
            u32 half = (c->top - c->una) / 2;
            c->threshold = c->congestion = half > 2 * c->mss ? half : 2 * c->mss;
            c->recovering = true; c->recover = c->top;
            sendOldest(c);
        }
    } else if (before(c->una, ack)) {
        u32 acked = ack - c->una, data = least(acked, c->used);
        c->head = (c->head + data) % SendBufferBytes;
        c->used -= data;
        if (acked > data) c->finAcked = true;
        c->una = ack;
        if (before(c->next, ack)) c->next = ack;
        if (c->timing && !before(ack, c->timedSeq)) measure(c);
        u32 wait = c->smoothed / 8 + (c->variation ? c->variation : 1);
        c->rto = c->smoothed ? least(wait < RtoMin ? RtoMin : wait, RtoMax) : RtoFirst;
        c->congestion += c->congestion < c->threshold ? c->mss : c->mss * c->mss / c->congestion + 1;
        c->congestion = least(c->congestion, 65535);
        c->duplicates = 0; c->retries = 0; c->timerOn = false;
        if (c->recovering && before(ack, c->recover)) sendOldest(c);        /* RFC 6582: the next hole */
        else c->recovering = false;
        if (c->una != c->top) arm(c, c->rto);
        else if (c->finAcked) arm(c, FinWait);
    }
    if (!wnd) c->retries = 0;                           /* closed, but alive */
    if (before(c->windowSeq, seq) || (c->windowSeq == seq && !before(ack, c->windowAck))) {
        if (!c->peerWindow && wnd) { c->retries = 0; c->next = c->una; }    /* open again: what probes sent counts as lost */
        c->peerWindow = wnd; c->windowSeq = seq; c->windowAck = ack;
    }
}

static struct connection *newConnection(void)
{
    struct connection *oldest = NULL;
    for (u32 i = 0; i < ConnectionsMax; i++) {
        if (table[i].state == Free) return &table[i];
        if (table[i].state == Waiting && (!oldest || before(table[i].deadline, oldest->deadline))) oldest = &table[i];
    }
    return oldest;
}

static void opening(const struct peer *from, const u8 *s, u32 headerBytes)
{
    struct connection *c = newConnection();
    if (!c) return;                                     /* full: the peer will ask again */
    /* The buffer keeps its old bytes; nothing reads them before they are written. */
    memset(c, 0, offsetof(struct connection, buffer));
    c->state = SynReceived;
    c->peer = *from; c->peerPort = get16(s); c->port = get16(s + 2);
    c->receive = get32(s + 4) + 1; c->advertised = c->receive - Mss;
    /* RFC 6528 in small: a clock that moves on 64000 a tick, and a number that differs by connection. */
    u32 id = (from->address ^ get32(mac + 2)) * 0x9E3779B1u + ((u32)c->peerPort << 16 | c->port) * 0x85EBCA6Bu;
    c->una = ticks * 64000 + (id ^ id >> 15);
    c->next = c->top = c->una + 1;
    c->mss = 536;
    for (u32 i = HeaderBytes; i < headerBytes && s[i]; i += s[i] == 1 ? 1u : s[i + 1]) {
        if (s[i] == 1) continue;
        if (i + 1 >= headerBytes || s[i + 1] < 2) break;
        if (s[i] == 2 && s[i + 1] == 4 && i + 4 <= headerBytes) c->mss = get16(s + i + 2);
    }
    c->mss = c->mss < 64 ? 64 : least(c->mss, Mss);
    c->peerWindow = get16(s + 14); c->windowSeq = get32(s + 4);
    c->congestion = 4 * c->mss; c->threshold = 65535;
    c->rto = RtoFirst; c->since = c->lastHeard = ticks;
    sendSynAck(c);
    arm(c, c->rto);
}

void tcpInput(const struct peer *from, const u8 *s, u32 n)
{
    u32 headerBytes = n < HeaderBytes ? 0 : (s[12] >> 4) * 4u;
    if (headerBytes < HeaderBytes || headerBytes > n || segmentChecksum(from->address, s, n)) return;
    u32 seq = get32(s + 4), ack = get32(s + 8), flags = s[13], length = n - headerBytes;
    const u8 *data = s + headerBytes;

    struct connection *c = NULL;
    for (u32 i = 0; i < ConnectionsMax && !c; i++)
        if (table[i].state && table[i].peerPort == get16(s) && table[i].port == get16(s + 2) && table[i].peer.address == from->address)
            c = &table[i];
    if (c && c->state == Waiting && (flags & (Syn | Rst | AckFlag)) == Syn && before(c->receive - 1, seq)) { release(c, NULL); c = NULL; }
    if (!c) {
        if ((flags & (Syn | AckFlag | Rst)) == Syn && serviceExists(get16(s + 2))) opening(from, s, headerBytes);
        else sendReset(from, s, length);
        return;
    }

    memcpy(c->peer.mac, from->mac, 6);                  /* the way back may have moved to another station */
    c->lastHeard = ticks; c->probes = 0;
    u32 wnd = window(c);
    if (flags & Rst) {
        if (seq == c->receive || (!before(seq, c->receive) && before(seq, c->receive + wnd)))
            release(c, c->state == Open && c->port == 7 ? "reset" : NULL);
        return;
    }
    if (flags & Syn) {                                  /* ours got lost, or a stranger: say where we are */
        if (c->state == SynReceived && seq + 1 == c->receive) sendSynAck(c); else { c->ackNow = true; output(c); }
        return;
    }
    if (!(flags & AckFlag)) return;
    if (c->state == SynReceived) {
        if (ack != c->una + 1) { sendReset(from, s, length); return; }
        c->state = Open; c->una = ack; c->timerOn = false; c->rto = RtoFirst;
        c->peerWindow = get16(s + 14); c->windowSeq = seq; c->windowAck = ack;
        connectionsOpen++; connectionsTotal++;
        if (c->port == 7) say("connection %i:%u to port 7 open", c->peer.address, (u32)c->peerPort);
    }

    bool fin = flags & Fin;
    if (before(seq, c->receive)) {                      /* the start is old: cut it off */
        u32 old = least(c->receive - seq, length);
        if (c->receive - seq > length) fin = false;
        data += old; length -= old; seq += old;
        c->ackNow = true;
    }
    if (c->state == Open) acknowledge(c, seq, ack, get16(s + 14), length);
    if (seq != c->receive) { if (before(c->receive, seq)) c->ackNow = true; length = 0; fin = false; }
    if (length) {
        u32 taken = c->state == Open && !c->closing ? serviceInput(c, &c->http, c->port, data, length) : length;
        c->receive += taken;
        c->ackNow = true;
        if (taken < length) fin = false;
    }
    if (fin && !c->peerFinished) {
        c->peerFinished = true;
        c->receive++;
        c->closing = true;
    }
    if (fin) c->ackNow = true;
    output(c);
    /* Room made by the acknowledgement is told as soon as it is worth a full segment. */
    if (c->state == Open && !c->peerFinished && window(c) >= wnd + Mss && wnd < Mss) { c->ackNow = true; output(c); }
    if (c->state == Open && c->finAcked && c->peerFinished) {
        if (c->port == 7) say("connection %i:%u to port 7 closed", c->peer.address, (u32)c->peerPort);
        if (c->closedFirst) { connectionsOpen--; c->state = Waiting; arm(c, TimeWait); } else release(c, NULL);
    }
}

void tcpTick(void)
{
    for (u32 i = 0; i < ConnectionsMax; i++) {
        struct connection *c = &table[i];
        if (c->state && c->timerOn && !before(ticks, c->deadline)) timeout(c);
        if (c->state != Open || ticks - c->lastHeard < KeepAliveAfter + c->probes * KeepAliveEvery) continue;
        if (c->probes++ == KeepAliveTries) release(c, "dead");
        else if (c->una == c->top) {                    /* an old sequence number makes the peer answer */
            u8 *k = header(&c->peer, c->port, c->peerPort, c->una - 1, c->receive, AckFlag, window(c));
            if (k) finish(&c->peer, k, HeaderBytes);
        }
    }
}
