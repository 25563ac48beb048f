#!/bin/sh
# Writes C sources to compile into a directory: an expression parser, tables and sorting, 60 times with other names.
# usage: generate.sh DIRECTORY
set -eu
n=0
while [ $n -lt 60 ]; do
    cat > "$1/part$n.c" <<C
typedef struct node$n { struct node$n *left, *right; int key; double weight; char text[32]; } node$n;
static node$n pool$n[256];
static int used$n;
static node$n *make$n(int key, double weight) { node$n *p = &pool$n[used$n++ & 255]; p->left = p->right = 0; p->key = key; p->weight = weight; return p; }
node$n *insert$n(node$n *t, int key) {
    if (!t) return make$n(key, key * 1.5);
    if (key < t->key) t->left = insert$n(t->left, key); else if (key > t->key) t->right = insert$n(t->right, key); else t->weight += 1;
    return t;
}
double sum$n(const node$n *t) { return t ? t->weight + sum$n(t->left) + sum$n(t->right) : 0; }
void sort$n(int *a, int n) {
    int i, j;
    for (i = 1; i < n; i++) { int v = a[i]; for (j = i; j > 0 && a[j - 1] > v; j--) a[j] = a[j - 1]; a[j] = v; }
}
static const char *at$n;
static int sum_expression$n(void);
static int factor$n(void) {
    int v = 0;
    if (*at$n == '(') { at$n++; v = sum_expression$n(); at$n++; return v; }
    while (*at$n >= '0' && *at$n <= '9') v = v * 10 + *at$n++ - '0';
    return v;
}
static int product$n(void) { int v = factor$n(); while (*at$n == '*' || *at$n == '/') { char c = *at$n++; int w = factor$n(); v = c == '*' ? v * w : w ? v / w : 0; } return v; }
static int sum_expression$n(void) { int v = product$n(); while (*at$n == '+' || *at$n == '-') { char c = *at$n++; int w = product$n(); v = c == '+' ? v + w : v - w; } return v; }
int evaluate$n(const char *s) { at$n = s; return sum_expression$n(); }
unsigned mix$n(const unsigned char *p, unsigned n) {
    unsigned h = 2166136261u + $n;
    while (n--) switch (*p & 7) { case 0: h ^= *p++; h *= 16777619u; break; case 1: h += *p++ << 3; break; case 2: h = h << 5 | h >> 27; p++; break; default: h -= *p++ * 31u; }
    return h;
}
C
    n=$((n + 1))
done
