/* The embedded guest: a 32-bit program that is its own operating system. Plain 80386, no FPU, no paging.
   One rule makes it simple: interrupts are enabled in one place only (idle() in main.c), so handlers and the
   rest never run at the same time, and no data needs a lock. Times are in ticks of 10 ms. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t i32;

enum { TicksPerSecond = 100 };

static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u16 inw(u16 p) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline void outb(u16 p, u32 v) { __asm__ volatile("outb %0, %1" :: "a"((u8)v), "Nd"(p)); }
static inline void outw(u16 p, u32 v) { __asm__ volatile("outw %0, %1" :: "a"((u16)v), "Nd"(p)); }
static inline void outl(u16 p, u32 v) { __asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(p)); }
static inline void inWords(u16 p, void *to, u32 n) { __asm__ volatile("cld; rep insw" : "+D"(to), "+c"(n) : "d"(p) : "memory"); }
static inline void outWords(u16 p, const void *from, u32 n) { __asm__ volatile("cld; rep outsw" : "+S"(from), "+c"(n) : "d"(p) : "memory"); }

/* Network byte order; a 386 has no BSWAP. */
static inline u16 get16(const u8 *p) { return (u16)(p[0] << 8 | p[1]); }
static inline u32 get32(const u8 *p) { return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3]; }
static inline void put16(u8 *p, u32 v) { p[0] = (u8)(v >> 8); p[1] = (u8)v; }
static inline void put32(u8 *p, u32 v) { put16(p, v >> 16); put16(p + 2, v); }

/* text.c: memory, strings, formatting. format knows %s %u %x %c, %i (IPv4 address), %m (pointer to a MAC address),
   and returns the length; it never writes more than size bytes and always ends with a zero. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
u32 length(const char *s);
bool same(const char *a, const char *b);
bool startsWith(const char *s, const char *prefix);
u32 formatList(char *to, u32 size, const char *form, va_list arguments);
u32 format(char *to, u32 size, const char *form, ...);
/* Reads "a.b.c.d" and moves *s past it; false when it is none. */
bool readAddress(const char **s, u32 *address);

/* serial.c: COM1. say prints "emu86-guest: ...\n". */
void serialStart(void);
void serialInterrupt(void);
void serialPut(char c);
void serialWrite(const char *s);
int serialGet(void);                    /* -1 when nothing was received */
void serialDrain(void);                 /* waits until all was sent; used before the power goes */
void say(const char *form, ...);

/* screen.c: VGA text, 80 x 25. */
void screenStart(void);
void screenLine(u32 row, u8 colour, const char *form, ...);

/* interrupt.c: descriptor tables, 8259A, 8254. */
struct frame { u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags; };
void interruptStart(void);
void irqEnable(u32 irq);
u32 irqRequested(void);                 /* the request registers of both 8259A, masked lines included */
extern volatile u32 ticks;
extern u32 nicIrq;                      /* 0: none known, the card is asked at every tick */

/* pci.c: configuration mechanism 1, and power management. */
u32 pciRead(u32 where, u32 reg);
void pciWrite(u32 where, u32 reg, u32 value);
bool pciFind(u32 vendorDevice, u32 *where);
u32 pciIrq(u32 where);                  /* the ISA interrupt of a function's INTA#; routes it when nobody has */
void powerOff(void);                    /* returns only when the machine has no such thing */

/* nic.c: DP8390 on PCI (RTL8029) or ISA (NE2000 at 300h). */
enum { FrameMax = 1514 };
extern u8 mac[6];
extern u32 framesIn, framesOut, framesLost;
bool nicStart(void);
void nicInterrupt(void);
bool nicReceive(void);                  /* hands one frame to ethernetInput; false when there is none */
u8 *nicFrame(void);                     /* a buffer for the next frame to send; NULL when the queue is full */
void nicSend(u32 length);               /* queues the frame written to nicFrame() */
void nicPoll(void);

/* ip.c: Ethernet, ARP, IPv4, ICMP echo, DHCP. */
extern u32 ownAddress;                  /* 0 until it is known */
struct peer { u32 address; u8 mac[6]; };
void networkStart(u32 fallback, bool askDhcp);
void networkTick(void);
void ethernetInput(u8 *frame, u32 length);
/* Where the payload of a packet to a peer goes; NULL when nothing can be sent now. ipSend sends it. */
u8 *ipPayload(const struct peer *to, u8 protocol);
void ipSend(u32 payloadLength);
u32 checksumAdd(u32 sum, const u8 *data, u32 n);
u16 checksumEnd(u32 sum);

/* tcp.c, and http.c: the services on it. */
enum { ConnectionsMax = 32, SendBufferBytes = 8192, RequestLineMax = 96 };
struct http { char line[RequestLineMax], request[RequestLineMax]; u16 used; bool haveRequest, close; };
struct connection;
extern u32 connectionsOpen, connectionsTotal, segmentsRepeated;
void tcpInput(const struct peer *from, const u8 *segment, u32 length);
void tcpTick(void);
u32 tcpRoom(const struct connection *c);                                /* bytes that tcpQueue will take */
void tcpQueue(struct connection *c, const void *data, u32 n);
void tcpClose(struct connection *c);                                    /* after what is queued */
bool serviceExists(u16 port);
/* Takes what it can of received bytes and says how many; the rest will come again. */
u32 serviceInput(struct connection *c, struct http *h, u16 port, const u8 *data, u32 n);

/* disk.c: the counter's sector on the first IDE disk. */
extern u32 counter;
extern const char *diskState;
void diskStart(void);
void diskInterrupt(void);
void diskTick(void);
void diskFlush(void);
