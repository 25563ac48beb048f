/* Ethernet II, ARP (RFC 826), IPv4 (RFC 791), ICMP echo (RFC 792), DHCP client (RFC 2131).
   A server only ever answers, so a reply goes back to the station the question came from, router or neighbour,
   and neither a routing table nor a table of neighbours is needed. Fragments are dropped. */
#include "guest.h"

enum {
    EthernetBytes = 14, IpBytes = 20, UdpBytes = 8, TypeIp = 0x0800, TypeArp = 0x0806,
    Icmp = 1, Tcp = 6, Udp = 17, DhcpClient = 68, DhcpServer = 67, DhcpBytes = 300,
    Discover = 1, Offer = 2, Request = 3, Ack = 5, Nak = 6,
    DhcpTries = 4, DhcpWait = TicksPerSecond,
};

u32 ownAddress;
static const struct peer everybody = { 0xFFFFFFFF, { 255, 255, 255, 255, 255, 255 } };
static u8 *frame;                       /* the packet being built by ipPayload */
static u16 identification;

static struct {
    enum { Idle, Selecting, Requesting, Bound } state;
    u32 fallback, id, offered, server, tries, next, lease;
} dhcp;

u32 checksumAdd(u32 sum, const u8 *data, u32 n)
{
    for (; n > 1; n -= 2, data += 2) sum += get16(data);
    if (n) sum += (u32)*data << 8;
    return sum;
}

u16 checksumEnd(u32 sum) { while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16); return (u16)~sum; }

static u8 *ethernetHeader(u8 *to, const u8 *destination, u32 type)
{
    memcpy(to, destination, 6); memcpy(to + 6, mac, 6); put16(to + 12, type);
    return to + EthernetBytes;
}

u8 *ipPayload(const struct peer *to, u8 protocol)
{
    if (!(frame = nicFrame())) return NULL;
    u8 *ip = ethernetHeader(frame, to->mac, TypeIp);
    memset(ip, 0, IpBytes);
    ip[0] = 0x45; ip[8] = 64; ip[9] = protocol;
    put16(ip + 4, identification++);
    put16(ip + 6, 0x4000);                              /* do not fragment */
    put32(ip + 12, ownAddress); put32(ip + 16, to->address);
    return ip + IpBytes;
}

void ipSend(u32 n)
{
    u8 *ip = frame + EthernetBytes;
    put16(ip + 2, IpBytes + n);
    put16(ip + 10, checksumEnd(checksumAdd(0, ip, IpBytes)));
    nicSend(EthernetBytes + IpBytes + n);
}

static void sendArp(u32 operation, const u8 *toMac, u32 toAddress)
{
    u8 *f = nicFrame();
    if (!f) return;
    u8 *arp = ethernetHeader(f, toMac, TypeArp);
    put16(arp, 1); put16(arp + 2, TypeIp); arp[4] = 6; arp[5] = 4; put16(arp + 6, operation);
    memcpy(arp + 8, mac, 6); put32(arp + 14, ownAddress);
    memcpy(arp + 18, toMac, 6); put32(arp + 24, toAddress);
    nicSend(EthernetBytes + 28);
}

static void arpInput(const u8 *arp, u32 n)
{
    if (n < 28 || get16(arp) != 1 || get16(arp + 2) != TypeIp || get16(arp + 6) != 1) return;
    if (ownAddress && get32(arp + 24) == ownAddress) sendArp(2, arp + 8, get32(arp + 14));
}

static void takeAddress(u32 address)
{
    ownAddress = address;
    sendArp(1, everybody.mac, address);                 /* tell switches and neighbours where it lives */
    say("ready %i", address);
}

static void dhcpSend(u8 type)
{
    u8 *udp = ipPayload(&everybody, Udp);
    if (!udp) return;
    u8 *m = udp + UdpBytes;
    memset(m, 0, DhcpBytes);
    m[0] = 1; m[1] = 1; m[2] = 6;
    put32(m + 4, dhcp.id);
    if (dhcp.state == Bound) put32(m + 12, ownAddress); else put16(m + 10, 0x8000);      /* answer by broadcast */
    memcpy(m + 28, mac, 6);
    put32(m + 236, 0x63825363);
    u8 *o = m + 240;
    *o++ = 53; *o++ = 1; *o++ = type;
    if (dhcp.state == Requesting) {
        *o++ = 50; *o++ = 4; put32(o, dhcp.offered); o += 4;
        *o++ = 54; *o++ = 4; put32(o, dhcp.server); o += 4;
    }
    *o++ = 55; *o++ = 2; *o++ = 1; *o++ = 3;
    *o++ = 12; *o++ = 5; memcpy(o, "emu86", 5); o += 5;
    *o = 255;
    put16(udp, DhcpClient); put16(udp + 2, DhcpServer); put16(udp + 4, UdpBytes + DhcpBytes); put16(udp + 6, 0);
    ipSend(UdpBytes + DhcpBytes);
}

static void dhcpInput(const u8 *m, u32 n)
{
    if (dhcp.state == Idle || n < 240 || m[0] != 2 || get32(m + 4) != dhcp.id || memcmp(m + 28, mac, 6) || get32(m + 236) != 0x63825363) return;
    u32 type = 0, server = 0, lease = 3600;
    for (u32 i = 240; i + 1 < n && m[i] != 255; i += m[i] ? m[i + 1] + 2u : 1u) {
        if (m[i] == 0 || i + 2 + m[i + 1] > n) continue;
        if (m[i] == 53 && m[i + 1] == 1) type = m[i + 2];
        if (m[i] == 54 && m[i + 1] == 4) server = get32(m + i + 2);
        if (m[i] == 51 && m[i + 1] == 4) lease = get32(m + i + 2);
    }
    if (type == Offer && dhcp.state == Selecting) {
        dhcp.state = Requesting;
        dhcp.offered = get32(m + 16); dhcp.server = server;
        dhcp.tries = 0; dhcp.next = ticks + DhcpWait;
        dhcpSend(Request);
    } else if (type == Ack && (dhcp.state == Requesting || dhcp.state == Bound)) {
        if (lease > 40000000 / TicksPerSecond) lease = 40000000 / TicksPerSecond;       /* keeps ticks in 31 bits */
        bool first = dhcp.state == Requesting;
        dhcp.state = Bound; dhcp.lease = lease < 60 ? 60 : lease; dhcp.next = ticks + dhcp.lease * TicksPerSecond / 2;
        if (first) takeAddress(get32(m + 16));
    } else if (type == Nak && dhcp.state == Requesting) {
        dhcp.state = Selecting; dhcp.next = ticks;
    }
}

void networkStart(u32 fallback, bool askDhcp)
{
    dhcp.fallback = fallback;
    if (!askDhcp) { takeAddress(fallback); return; }
    dhcp.state = Selecting;
    dhcp.id = get32(mac + 2) ^ ticks << 16;
    dhcp.next = ticks;
}

void networkTick(void)
{
    if (dhcp.state == Idle || (i32)(ticks - dhcp.next) < 0) return;
    if (dhcp.state == Bound) {                          /* half the lease is over; without an answer the address stays */
        dhcp.next = ticks + dhcp.lease * TicksPerSecond / 8;
        dhcpSend(Request);
        return;
    }
    if (dhcp.tries++ == DhcpTries) {
        dhcp.state = Idle;
        say("no answer from DHCP");
        takeAddress(dhcp.fallback);
        return;
    }
    dhcp.next = ticks + DhcpWait;
    dhcpSend(dhcp.state == Selecting ? Discover : Request);
}

static void icmpInput(const struct peer *from, const u8 *icmp, u32 n)
{
    if (n < 8 || icmp[0] != 8 || checksumEnd(checksumAdd(0, icmp, n))) return;
    u8 *answer = ipPayload(from, Icmp);
    if (!answer) return;
    memcpy(answer, icmp, n);
    answer[0] = 0; put16(answer + 2, 0);
    put16(answer + 2, checksumEnd(checksumAdd(0, answer, n)));
    ipSend(n);
}

static void ipInput(const u8 *source, const u8 *ip, u32 n)
{
    u32 header = (ip[0] & 15u) * 4, total = get16(ip + 2);
    if (n < IpBytes || ip[0] >> 4 != 4 || header < IpBytes || total < header || total > n) return;
    if (checksumEnd(checksumAdd(0, ip, header)) || get16(ip + 6) & 0x3FFF) return;
    struct peer from = { .address = get32(ip + 12) };
    memcpy(from.mac, source, 6);
    u32 to = get32(ip + 16), length = total - header;
    const u8 *payload = ip + header;
    if (ip[9] == Udp && length >= UdpBytes && get16(payload) == DhcpServer && get16(payload + 2) == DhcpClient)
        dhcpInput(payload + UdpBytes, length - UdpBytes);
    if (!ownAddress || to != ownAddress) return;
    if (ip[9] == Icmp) icmpInput(&from, payload, length);
    if (ip[9] == Tcp) tcpInput(&from, payload, length);
}

void ethernetInput(u8 *f, u32 n)
{
    if (n < EthernetBytes + IpBytes) return;
    if (get16(f + 12) == TypeArp) arpInput(f + EthernetBytes, n - EthernetBytes);
    if (get16(f + 12) == TypeIp) ipInput(f + 6, f + EthernetBytes, n - EthernetBytes);
}
