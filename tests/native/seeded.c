/* Makes what a process draws from outside depend on a seed alone: randomness and the time of day.
 *
 *   cc -shared -fPIC -O2 -o seeded.so seeded.c -ldl
 *   SEEDED=42 LD_PRELOAD=./seeded.so program
 *
 * SEEDED       a number; without it nothing is changed.
 *
 * Every thread draws the same stream from its start (SplitMix64 of the seed), so one thread that does all the work can
 * be replayed: its hash tables are ordered, its keys made, its branches taken as before. Clocks stand still at a moment
 * of 2027; whoever needs time to pass brings his own. What is drawn like this is no secret: for simulations only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MOMENT 1800000000

static long next_syscall(long number, long a, long b, long c, long d, long e, long f) {
  static long (*real)(long, ...);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return real(number, a, b, c, d, e, f);
}

/* 0: not asked for. */
static uint64_t seed(void) {
  static int known;
  static uint64_t value;
  if (!known) {
    const char *text = getenv("SEEDED");
    value = text ? strtoull(text, 0, 10) + 1 : 0;
    known = 1;
  }
  return value;
}

static ssize_t fill(void *buffer, size_t length) {
  static __thread uint64_t state;
  static __thread int begun;
  if (!begun) {
    state = seed() * UINT64_C(0xd1342543de82ef95);
    begun = 1;
  }
  unsigned char *out = buffer;
  for (size_t at = 0; at < length;) {
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    size_t take = length - at < sizeof z ? length - at : sizeof z;
    memcpy(out + at, &z, take);
    at += take;
  }
  return (ssize_t)length;
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
  if (seed()) return fill(buffer, length);
  return next_syscall(SYS_getrandom, (long)buffer, (long)length, flags, 0, 0, 0);
}

int getentropy(void *buffer, size_t length) {
  return getrandom(buffer, length, 0) == (ssize_t)length ? 0 : -1;
}

/* Libraries that go around getrandom(3). */
long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
  if (number == SYS_getrandom && seed()) return fill((void *)a, (size_t)b);
  return next_syscall(number, a, b, c, d, e, f);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (seed()) {
    now->tv_sec = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? MOMENT : 1000;
    now->tv_nsec = 0;
    return 0;
  }
  return (int)next_syscall(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (out) *out = precise.tv_sec;
  return precise.tv_sec;
}
