/* A disk that keeps a record and fails on request: a library for LD_PRELOAD, for tests alone.
 *
 * It stands between a program and libc, looks at the files below one directory, and leaves everything else alone.
 *
 *   cc -std=c11 -O2 -shared -fPIC -o faulty_disk.so tests/native/faulty_disk.c -ldl
 *   FAULTY_DISK_DIRECTORY  absolute path without symbolic links; files below it are looked at. Without it: nothing is done.
 *   FAULTY_DISK_LOG        a file to which every operation is appended. Without it: nothing is recorded.
 *   FAULTY_DISK_FAULTS     a file of rules. It is read again whenever it changes: write it elsewhere and rename it.
 *
 * Rules, one a line; SUFFIX is compared with the end of a path, `*` is any path, and no file or an empty one is no fault:
 *
 *   sync SUFFIX SKIP COUNT   fsync and fdatasync fail with EIO: SKIP of them pass, then COUNT fail; COUNT 0 is for ever
 *   write SUFFIX SKIP COUNT  writes fail with EIO, counted in the same way
 *   space SUFFIX BYTES       files may grow by BYTES in all from when the rule is read, then writes end short or fail with
 *                            ENOSPC; what files shrink by, or are removed with, is room again
 *   kill SUFFIX SKIP         SKIP operations (writes, lengths, syncs, names) pass, and the process is killed before the next
 *   lie SUFFIX               fsync and fdatasync do nothing and say that all is well
 *
 * Counters start with the reading of the rules. Not seen: memory maps (SQLite's -shm, which no crash has to keep), and
 * system calls that do not go through libc (statvfs of rustix, so a full disk here still looks roomy to the program).
 *
 * The log is a sequence of records in the machine's byte order: `struct record`, then `path_bytes` of the path below the
 * directory (for RENAME two paths with a NUL between), then data up to `bytes`. The inode tells files apart as long as
 * they exist. Operations stand in the order in which they were done; a SYNCED covers what stands before its SYNC. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation {
  OPEN = 1,  /* a: 1 if it was made, 2 if it was emptied, 3 both */
  WRITE,     /* a: offset; then the data */
  LENGTH,    /* a: the new length */
  SYNC,      /* a: number of this sync; b: 1 of a directory */
  SYNCED,    /* a: number of the sync that has succeeded */
  RENAME,    /* two paths */
  UNLINK,    /* the path; directories too */
  MKDIR,     /* the path */
  FAULT,     /* a: what was asked for; b: errno, or 0 for a lie */
};

struct record {
  uint32_t bytes;
  uint16_t operation;
  uint16_t path_bytes;
  uint64_t inode, a, b;
};

enum { FILES = 65536, RULES = 16, PATH = 4096 };

static struct file {
  char *path; /* below the directory; NULL: not one of ours */
  uint64_t inode;
  int directory, append;
} files[FILES];

enum kind { NONE, SYNCS_FAIL, WRITES_FAIL, SPACE, LIE, KILL };
static const char *const kinds[] = {"", "sync", "write", "space", "lie", "kill"};

static struct rule {
  enum kind kind;
  char suffix[64];
  long long skip /* or the room that is left */, count;
} rules[RULES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH];
static size_t root_bytes;
static int log_file = -1;
static uint64_t syncs;
static const char *rules_path;
static struct stat rules_seen;

#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

__attribute__((constructor)) static void start(void) {
  const char *directory = getenv("FAULTY_DISK_DIRECTORY"), *path = getenv("FAULTY_DISK_LOG");
  if (!directory || strlen(directory) >= PATH) return;
  strcpy(root, directory);
  root_bytes = strlen(root);
  rules_path = getenv("FAULTY_DISK_FAULTS");
  if (path) log_file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* The path below the directory, or NULL where it is elsewhere. */
static const char *below(int at, const char *path, char *whole) {
  if (!root_bytes || !path) return NULL;
  if (path[0] != '/') {
    char link[64], base[PATH];
    ssize_t length;
    if (at == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return NULL;
    } else {
      snprintf(link, sizeof link, "/proc/self/fd/%d", at);
      if ((length = readlink(link, base, sizeof base - 1)) < 0) return NULL;
      base[length] = 0;
    }
    if (snprintf(whole, PATH, "%s/%s", base, path) >= PATH) return NULL;
  } else if (snprintf(whole, PATH, "%s", path) >= PATH) {
    return NULL;
  }
  if (strncmp(whole, root, root_bytes)) return NULL;
  if (whole[root_bytes] == '/') return whole + root_bytes + 1;
  return whole[root_bytes] ? NULL : whole + root_bytes;
}

/* With the lock held. One append, so that records of several processes do not mix. */
static void note(enum operation operation, uint64_t inode, uint64_t a, uint64_t b, const char *path, size_t path_bytes,
                 const void *data, size_t bytes) {
  if (log_file < 0) return;
  size_t whole = sizeof(struct record) + path_bytes + bytes;
  struct record record = {(uint32_t)whole, (uint16_t)operation, (uint16_t)path_bytes, inode, a, b};
  char *buffer = malloc(whole);
  if (!buffer) abort();
  memcpy(buffer, &record, sizeof record);
  if (path_bytes) memcpy(buffer + sizeof record, path, path_bytes);
  if (bytes) memcpy(buffer + sizeof record + path_bytes, data, bytes);
  /* A record that is lost would make every later conclusion wrong. */
  if (syscall(SYS_write, log_file, buffer, whole) != (long)whole) abort();
  free(buffer);
}

static void note_path(enum operation operation, uint64_t a, const char *path) {
  note(operation, 0, a, 0, path, strlen(path), NULL, 0);
}

static struct file *ours(int fd) { return root_bytes && fd >= 0 && fd < FILES && files[fd].path ? &files[fd] : NULL; }

/* With the lock held: the rules as they stand in their file now. */
static void read_rules(void) {
  struct stat now;
  if (!rules_path) return;
  if (stat(rules_path, &now)) memset(&now, 0, sizeof now);
  if (now.st_ino == rules_seen.st_ino && now.st_size == rules_seen.st_size &&
      now.st_mtim.tv_sec == rules_seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == rules_seen.st_mtim.tv_nsec)
    return;
  rules_seen = now;
  memset(rules, 0, sizeof rules);
  FILE *file = now.st_size ? fopen(rules_path, "re") : NULL;
  if (!file) return;
  char line[256], kind[16];
  for (int number = 0; number < RULES && fgets(line, sizeof line, file); number++) {
    struct rule *rule = &rules[number];
    int read = sscanf(line, "%15s %63s %lld %lld", kind, rule->suffix, &rule->skip, &rule->count);
    for (int known = SYNCS_FAIL; read >= 2 && known <= KILL; known++)
      if (!strcmp(kind, kinds[known])) rule->kind = (enum kind)known;
  }
  fclose(file);
}

static struct rule *rule_for(enum kind kind, const char *path) {
  read_rules();
  for (int number = 0; number < RULES; number++) {
    struct rule *rule = &rules[number];
    size_t path_bytes = strlen(path), bytes = strlen(rule->suffix);
    int any = !strcmp(rule->suffix, "*");
    if (rule->kind == kind && (any || (bytes <= path_bytes && !strcmp(path + path_bytes - bytes, rule->suffix)))) return rule;
  }
  return NULL;
}

/* Whether it is this one's turn to fail. A count that has run out is -1. */
static int fails(enum kind kind, const char *path) {
  struct rule *rule = rule_for(kind, path);
  if (!rule || rule->count < 0) return 0;
  if (rule->skip > 0) return rule->skip--, 0;
  if (rule->count > 0 && --rule->count == 0) rule->count = -1;
  return 1;
}

/* Before an operation on a file. */
static void may_die(const char *path) {
  struct rule *rule = rule_for(KILL, path);
  if (rule && rule->skip-- == 0) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}

static void gives_room(const char *path, long long bytes) {
  struct rule *rule = rule_for(SPACE, path);
  if (rule) rule->skip += bytes;
}

static long long length_of(int fd) {
  struct stat found;
  return fstat(fd, &found) ? 0 : found.st_size;
}

/* ---- names ---- */

static int opened(int fd, int flags, int existed, const char *path) {
  struct stat found;
  if (fd < 0 || fd >= FILES || fstat(fd, &found)) return fd;
  if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode)) return fd;
  struct file *file = &files[fd];
  free(file->path);
  *file = (struct file){strdup(path), found.st_ino, S_ISDIR(found.st_mode), !!(flags & O_APPEND)};
  int emptied = (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY;
  if (!file->directory) note(OPEN, file->inode, (uint64_t)((existed ? 0 : 1) | (emptied ? 2 : 0)), 0, path, strlen(path), NULL, 0);
  return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
  __typeof__(&openat) real = NEXT(openat64);
  char whole[PATH];
  const char *relative = below(at, path, whole);
  if (!relative || (flags & O_TMPFILE) == O_TMPFILE) return real(at, path, flags, mode);
  struct stat before;
  pthread_mutex_lock(&lock);
  int existed = !stat(whole, &before);
  int fd = opened(real(at, path, flags, mode), flags, existed, relative), error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list list; \
    va_start(list, flags); \
    mode = va_arg(list, mode_t); \
    va_end(list); \
  }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }

int close(int fd) {
  struct file *file = ours(fd);
  if (!file) return NEXT(close)(fd);
  pthread_mutex_lock(&lock);
  free(file->path);
  file->path = NULL;
  int result = NEXT(close)(fd), error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
  char one[PATH], two[PATH], both[2 * PATH];
  const char *source = below(from_at, from, one), *target = below(to_at, to, two);
  if (!source || !target) return NEXT(renameat)(from_at, from, to_at, to);
  pthread_mutex_lock(&lock);
  may_die(target);
  int result = NEXT(renameat)(from_at, from, to_at, to), error = errno;
  if (!result) {
    int length = snprintf(both, sizeof both, "%s", source) + 1;
    length += snprintf(both + length, sizeof both - (size_t)length, "%s", target);
    note(RENAME, 0, 0, 0, both, (size_t)length, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int at, const char *path, int flags) {
  char whole[PATH];
  const char *relative = below(at, path, whole);
  if (!relative) return NEXT(unlinkat)(at, path, flags);
  struct stat before;
  pthread_mutex_lock(&lock);
  may_die(relative);
  long long freed = !stat(whole, &before) && S_ISREG(before.st_mode) ? before.st_size : 0;
  int result = NEXT(unlinkat)(at, path, flags), error = errno;
  if (!result) {
    gives_room(relative, freed);
    note_path(UNLINK, 0, relative);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
  char whole[PATH];
  const char *relative = below(at, path, whole);
  pthread_mutex_lock(&lock);
  int result = NEXT(mkdirat)(at, path, mode), error = errno;
  if (relative && !result) note_path(MKDIR, 0, relative);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- content ---- */

/* How much of a write there is room for. */
static size_t room(struct file *file, int fd, long long from, size_t bytes) {
  struct rule *rule = rule_for(SPACE, file->path);
  long long growth = from + (long long)bytes - length_of(fd);
  if (!rule || growth <= 0) return bytes;
  long long given = growth < rule->skip ? growth : rule->skip;
  rule->skip -= given;
  return bytes - (size_t)(growth - given);
}

static ssize_t put(struct file *file, int fd, const void *data, size_t bytes, off_t offset) {
  pthread_mutex_lock(&lock);
  may_die(file->path);
  ssize_t written = -1;
  int error = EIO;
  long long from = offset >= 0 ? offset : file->append ? length_of(fd) : lseek(fd, 0, SEEK_CUR);
  size_t may = bytes;
  if (fails(WRITES_FAIL, file->path)) {
    note(FAULT, file->inode, WRITE, EIO, file->path, strlen(file->path), NULL, 0);
  } else if ((may = room(file, fd, from, bytes)) == 0 && bytes > 0) {
    error = ENOSPC;
    note(FAULT, file->inode, WRITE, ENOSPC, file->path, strlen(file->path), NULL, 0);
  } else {
    written = offset >= 0 ? NEXT(pwrite)(fd, data, may, offset) : NEXT(write)(fd, data, may);
    error = errno;
    if (written > 0) note(WRITE, file->inode, (uint64_t)from, 0, file->path, strlen(file->path), data, (size_t)written);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

static ssize_t put_all(struct file *file, int fd, const struct iovec *parts, int count, off_t offset) {
  size_t bytes = 0, at = 0;
  for (int part = 0; part < count; part++) bytes += parts[part].iov_len;
  char *data = malloc(bytes ? bytes : 1);
  if (!data) abort();
  for (int part = 0; part < count; at += parts[part++].iov_len)
    if (parts[part].iov_len) memcpy(data + at, parts[part].iov_base, parts[part].iov_len);
  ssize_t written = put(file, fd, data, bytes, offset);
  int error = errno;
  free(data);
  errno = error;
  return written;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  struct file *file = ours(fd);
  return file ? put(file, fd, data, bytes, -1) : NEXT(write)(fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  struct file *file = ours(fd);
  return file ? put(file, fd, data, bytes, offset) : NEXT(pwrite)(fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) { return pwrite(fd, data, bytes, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  struct file *file = ours(fd);
  return file ? put_all(file, fd, parts, count, -1) : NEXT(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  struct file *file = ours(fd);
  return file ? put_all(file, fd, parts, count, offset) : NEXT(pwritev)(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev(fd, parts, count, offset); }

/* Those who copy inside the kernel have to be able to do without: not every file system has it. */
ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t bytes, unsigned flags) {
  if (ours(to)) return errno = EOPNOTSUPP, -1;
  return NEXT(copy_file_range)(from, from_at, to, to_at, bytes, flags);
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t bytes) {
  ssize_t (*real)(int, int, off_t *, size_t) = (ssize_t(*)(int, int, off_t *, size_t))next("sendfile64");
  if (ours(to)) return errno = EINVAL, -1;
  return real(to, from, offset, bytes);
}

int ftruncate(int fd, off_t length) {
  struct file *file = ours(fd);
  if (!file) return NEXT(ftruncate)(fd, length);
  pthread_mutex_lock(&lock);
  may_die(file->path);
  long long before = length_of(fd);
  int result = -1, error = ENOSPC;
  if (length > before && room(file, fd, before, (size_t)(length - before)) < (size_t)(length - before)) {
    note(FAULT, file->inode, LENGTH, ENOSPC, file->path, strlen(file->path), NULL, 0);
  } else {
    result = NEXT(ftruncate)(fd, length);
    error = errno;
    if (!result && length < before) gives_room(file->path, before - length);
    if (!result) note(LENGTH, file->inode, (uint64_t)length, 0, file->path, strlen(file->path), NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

/* Room that is asked for ahead is not needed: a later write finds it or fails. */
int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (ours(fd)) return errno = EOPNOTSUPP, -1;
  return NEXT(fallocate)(fd, mode, offset, bytes);
}

int fallocate64(int fd, int mode, off_t offset, off_t bytes) { return fallocate(fd, mode, offset, bytes); }

int posix_fallocate(int fd, off_t offset, off_t bytes) {
  return ours(fd) ? EINVAL : NEXT(posix_fallocate)(fd, offset, bytes);
}

int posix_fallocate64(int fd, off_t offset, off_t bytes) { return posix_fallocate(fd, offset, bytes); }

static int sync_with(int (*real)(int), struct file *file, int fd) {
  size_t path_bytes = strlen(file->path);
  pthread_mutex_lock(&lock);
  may_die(file->path);
  int lies = !!rule_for(LIE, file->path), broken = !lies && fails(SYNCS_FAIL, file->path);
  if (lies || broken) {
    note(FAULT, file->inode, SYNC, lies ? 0 : EIO, file->path, path_bytes, NULL, 0);
    pthread_mutex_unlock(&lock);
    return lies ? 0 : (errno = EIO, -1);
  }
  uint64_t number = (uint64_t)getpid() << 32 | ++syncs;
  note(SYNC, file->inode, number, (uint64_t)file->directory, file->path, path_bytes, NULL, 0);
  /* Others go on writing meanwhile, as they would without this library. */
  pthread_mutex_unlock(&lock);
  int result = real(fd), error = errno;
  if (!result) {
    pthread_mutex_lock(&lock);
    note(SYNCED, file->inode, number, 0, file->path, path_bytes, NULL, 0);
    pthread_mutex_unlock(&lock);
  }
  errno = error;
  return result;
}

int fsync(int fd) {
  struct file *file = ours(fd);
  return file ? sync_with(NEXT(fsync), file, fd) : NEXT(fsync)(fd);
}

int fdatasync(int fd) {
  struct file *file = ours(fd);
  return file ? sync_with(NEXT(fdatasync), file, fd) : NEXT(fdatasync)(fd);
}
