/* An in-memory transaction benchmark: a bank with branches, tellers and accounts in hashed tables, as in TPC-B; each transaction moves an
   amount, appends to the history and, one time in sixteen, sums a branch. The argument is the number of transactions in thousands. */
#include "tiny.h"

enum { Accounts = 1 << 16, Tellers = 1 << 8, Branches = 1 << 5, Buckets = 1 << 15, History = 1 << 14 };

struct account { unsigned number, branch; int balance; struct account *next; };
struct entry { unsigned account, teller; int amount; unsigned when; };

static struct account accounts[Accounts];
static struct account *buckets[Buckets];
static int tellers[Tellers], branches[Branches];
static struct entry history[History];
static unsigned seed = 12345;

static unsigned draw(void) { seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5; return seed; }
static unsigned bucket(unsigned number) { return number * 2654435761u >> 17; }

static struct account *find(unsigned number)
{
    struct account *a = buckets[bucket(number)];
    while (a && a->number != number) a = a->next;
    return a;
}

static unsigned parse(const char *s) { unsigned n = 0; while (*s >= '0' && *s <= '9') n = n * 10 + (unsigned)(*s++ - '0'); return n; }

int run(int argc, char **argv, char **environment)
{
    (void)environment;
    unsigned transactions = (argc > 1 ? parse(argv[1]) : 1000) * 1000;
    for (unsigned n = 0; n < Accounts; n++) {
        struct account *a = &accounts[n];
        a->number = n * 7919 + 1;
        a->branch = n % Branches;
        a->next = buckets[bucket(a->number)];
        buckets[bucket(a->number)] = a;
    }
    long long sum = 0;
    for (unsigned t = 0; t < transactions; t++) {
        unsigned number = draw() % Accounts * 7919 + 1, teller = draw() % Tellers;
        int amount = (int)(draw() % 2001) - 1000;
        struct account *a = find(number);
        if (!a) return 1;
        a->balance += amount;
        tellers[teller] += amount;
        branches[a->branch] += amount;
        history[t % History] = (struct entry){ number, teller, amount, t };
        if (t % 16 == 0) {
            int total = 0;
            for (unsigned n = a->branch; n < Accounts && n < a->branch + 64 * Branches; n += Branches) total += accounts[n].balance;
            sum += total;
        }
    }
    /* Money is neither made nor lost. */
    int a = 0, b = 0, c = 0;
    for (unsigned n = 0; n < Accounts; n++) a += accounts[n].balance;
    for (unsigned n = 0; n < Tellers; n++) b += tellers[n];
    for (unsigned n = 0; n < Branches; n++) c += branches[n];
    struct line l = { .used = 0 };
    addText(&l, a == b && b == c ? "transactions balance " : "transactions DIFFER ");
    addHex(&l, (unsigned)(sum ^ a));
    addText(&l, "\n");
    put(1, l.text);
    return a == b && b == c ? 0 : 1;
}
