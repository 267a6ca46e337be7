/*
 * Takes more memory than a machine has, so that pages go to swap and come back: writes a number into each page and checks it in the
 * next pass. With 0 passes it takes the memory once, locks it, and keeps it until it is killed.
 *
 * usage: hog MIBIBYTES PASSES
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

int main(int argc, char **argv) {
  if (argc != 3) errx(1, "usage: hog MIBIBYTES PASSES");
  uint64_t pages = strtoull(argv[1], NULL, 10) << 8, passes = strtoull(argv[2], NULL, 10);
  uint8_t *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) err(1, "mmap");
  if (passes == 0) {
    if (mlock(memory, pages * PAGE_BYTES) < 0) err(1, "mlock");
    puts("taken");
    fflush(stdout);
    pause();
  }
  for (uint64_t pass = 1; pass <= passes; pass++) {
    for (uint64_t page = 0; page < pages; page++) {
      uint64_t *number = (uint64_t *)(memory + page * PAGE_BYTES);
      if (pass > 1 && *number != page * passes + pass - 1) errx(1, "page %llu is wrong in pass %llu", (unsigned long long)page, (unsigned long long)pass);
      *number = page * passes + pass;
    }
    printf("pass %llu\n", (unsigned long long)pass);
    fflush(stdout);
  }
  return 0;
}
