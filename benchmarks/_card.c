/* Preloaded: every fsync and fdatasync takes DELAY_MS longer, as on a card. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int later(const char *name, int descriptor) {
  const struct timespec delay = {DELAY_MS / 1000, DELAY_MS % 1000 * 1000000L};
  int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  nanosleep(&delay, 0);
  return sync(descriptor);
}

int fsync(int descriptor) { return later("fsync", descriptor); }
int fdatasync(int descriptor) { return later("fdatasync", descriptor); }
