/* Stands in for libFuzzer where a compiler has none: runs a target with every file that it is given, then with mutants of
 * them, without guidance by coverage. The same arguments give the same mutants.
 *
 *     fuzz_reader [-runs=N] [-max_total_time=SECONDS] [-seed=N] [-max_len=N] FILE_OR_FOLDER... */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

typedef struct {
    uint8_t *data;
    size_t size;
} input;

static input *corpus;
static size_t n_corpus;
static uint64_t state = 1;

static uint64_t draw(void) { /* xorshift64*, Vigna 2016 */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
}

static void add(const char *path) {
    DIR *folder = opendir(path);
    if (folder) {
        for (struct dirent *entry; (entry = readdir(folder));) {
            char inner[4096];
            if (entry->d_name[0] != '.' && snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner)
                add(inner);
        }
        closedir(folder);
        return;
    }
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return;
    long size = ftell(file);
    rewind(file);
    corpus = realloc(corpus, (n_corpus + 1) * sizeof *corpus);
    uint8_t *data = malloc((size_t)size + 1);
    if (fread(data, 1, (size_t)size, file) == (size_t)size) corpus[n_corpus++] = (input){data, (size_t)size};
    fclose(file);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
    static const uint32_t words[] = {0, 1, 2, 7, 8, 127, 128, 255, 256, 4095, 4096, 32767, 32768, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    if (!size) return 0;
    for (uint64_t times = 1 + draw() % 4; times--;) {
        size_t at = draw() % size, n = 1u << draw() % 3;
        uint32_t word = words[draw() % (sizeof words / sizeof *words)];
        switch (draw() % 7) {
        case 0: data[at] = (uint8_t)draw(); break;
        case 1: data[at] ^= (uint8_t)(1u << draw() % 8); break;
        case 2: data[at] = (uint8_t)(data[at] + (draw() % 2 ? 1 : 255)); break;
        case 3:
            for (size_t i = 0; i < n && at + i < size; i++) data[at + i] = (uint8_t)(word >> 8 * i);
            break;
        case 4: /* copy a part over another */
            n = draw() % 16;
            for (size_t from = draw() % size, i = 0; i < n && from + i < size && at + i < size; i++) data[at + i] = data[from + i];
            break;
        case 5: /* take bytes out */
            if (size - at > n) {
                memmove(data + at, data + at + n, size - at - n);
                size -= n;
            }
            break;
        default: /* put bytes in */
            if (size + n <= max_size) {
                memmove(data + at + n, data + at, size - at);
                size += n;
            }
        }
    }
    return size;
}

static uint8_t *current;
static size_t current_size;

static void keep(int signal_number) { /* the input that ended the process */
    FILE *file = fopen("crash-input", "wb");
    if (file) fwrite(current, 1, current_size, file), fclose(file);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

int main(int argc, char **argv) {
    unsigned long runs = 0, most_runs = (unsigned long)-1, done = 0;
    double seconds = 1e9;
    size_t max_len = 1 << 16;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-runs=", 6)) most_runs = strtoul(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "-max_total_time=", 16)) seconds = atof(argv[i] + 16);
        else if (!strncmp(argv[i], "-seed=", 6)) state = 2 * strtoul(argv[i] + 6, NULL, 10) + 1;
        else if (!strncmp(argv[i], "-max_len=", 9)) max_len = strtoul(argv[i] + 9, NULL, 10);
        else if (argv[i][0] != '-') add(argv[i]);
    }
    if (!n_corpus) add("/dev/null");
    current = malloc(max_len);
    signal(SIGABRT, keep);
    signal(SIGALRM, keep);
    const time_t begun = time(NULL);
    for (; done < n_corpus + most_runs && difftime(time(NULL), begun) < seconds; done++) {
        const input *from = &corpus[done < n_corpus ? done : draw() % n_corpus];
        current_size = from->size < max_len ? from->size : max_len;
        memcpy(current, from->data, current_size);
        if (done >= n_corpus) {
            runs++;
            current_size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(current, current_size, max_len, (unsigned)draw())
                                                   : LLVMFuzzerMutate(current, current_size, max_len);
        }
        alarm(5);
        LLVMFuzzerTestOneInput(current, current_size);
    }
    printf("%lu files and %lu mutants: done\n", done - runs, runs);
    return 0;
}
