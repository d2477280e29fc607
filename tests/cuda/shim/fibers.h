// Blocks of threads on one thread of the operating system: the part of the shim that kernels do not see.
//
// Each CUDA thread of a block is a fiber that runs until it must wait, at a barrier or at a collective of its warp.
// A fiber is entered once through makecontext; all later switches are _setjmp and _longjmp, which need no system call,
// so a launch may shuffle millions of times. Blocks run one after another, which is what lets shared memory be static.
//
// What would hang or be undefined on a GPU is detected and reported instead: threads that wait for others that never
// come, barriers and collectives that were reached from different lines, accesses outside of an array (its pages end
// there; host_arrays.py), stacks that overflow. Shared memory starts every block as NaN.
//
// The order in which waiting threads go on, and that of blocks, is the caller's choice. Results that depend on it are
// races. Others are found in any order by races.h, in a build of its own.
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

// The shim's own variables keep out of .bss, so that all there is in it are the kernels' `__shared__` variables. (A
// section for these instead does not do: g++ ignores that attribute in templates.)
#define SHIM_DATA __attribute__((section(".data")))

// Set on every switch.
SHIM_DATA static uint3 threadIdx, blockIdx;
SHIM_DATA static dim3 blockDim, gridDim;

extern "C" unsigned char __bss_start[] __attribute__((visibility("hidden")));
extern "C" unsigned char _end[] __attribute__((visibility("hidden")));

namespace shim {

constexpr unsigned kLanes = 32, kMaxThreads = 1024;
constexpr size_t kStackBytes = 128 << 10;  // -O1 frames with a K of 32 in double stay far below
constexpr uint32_t kPoison = 0xfffdface;   // NaN as float and, twice, as double

enum class Order : int32_t { kForward, kReverse, kRandom };
enum class State : uint8_t { kReady, kAtBarrier, kInWarp, kGone };
enum class Fault : int32_t { kNone, kDeadlock, kMisuse, kAccess };
constexpr int kBlockDone = 4;  // beside the faults, as what a jump out of a block brings

struct Site {
    const char* file;
    int line;
    bool operator==(const Site& other) const { return line == other.line && !strcmp(file, other.file); }
};

// One side of a race: a block by its number in the grid, a place in the code from the library's start.
struct Party {
    uint32_t block, thread, where;
    uint32_t how;  // bit 0: writes, bit 1: atomic
};

// Two accesses to an address that nothing orders, or, without `is_race`, one that is not aligned.
struct Race {
    uint64_t address;
    uint32_t bytes;  // of the access, or what the address should be a multiple of
    uint32_t is_race;
    Party before, now;
};

// Memory to be watched for races.
struct Range {
    uint64_t start, bytes;
};

// Requests and reports of host_runtime.py; same layout there.
struct Request {
    void** args;
    uint32_t grid[3];
    uint32_t block;
    Order order;
    uint64_t seed;
    char* message;
    uint64_t message_bytes;
    uint64_t address;     // of a failed access
    const Range* ranges;  // these and what follows: only in builds with SHIM_RACES
    Race* races;
    uint32_t n_ranges, max_races;
    uint32_t n_races;  // found, of which the first max_races are kept
};

struct Thread {
    jmp_buf resume;
    ucontext_t entry;
    bool entered;  // its fiber exists, and waits in `finish` between blocks
    State state;
    uint8_t source;      // lane a shuffle reads
    bool orders_memory;  // at __syncwarp, not at shuffles and votes
    const char* operation;
    Site site;
    unsigned mask;
    uint64_t given, taken;
};

struct Warp {
    unsigned live, waiting;  // lanes
};

struct Machine {
    Thread threads[kMaxThreads];
    Warp warps[kMaxThreads / kLanes];
    unsigned ready[kMaxThreads];  // a ring
    unsigned first_ready, n_ready, current, n_threads, live, at_barrier;
    unsigned char* stacks;
    Order order;
    uint64_t random;
    void (*body)(void**);
    Request* request;
    uint64_t* blocks;  // in the order they run
    uint64_t n_blocks, blocks_done;
    unsigned char signal_stack[64 << 10];
    jmp_buf block_done;
    sigjmp_buf crashed;
};
SHIM_DATA static Machine* machine_made = nullptr;
__attribute__((no_sanitize_thread)) static inline Machine& machine() { return *machine_made; }

static inline uint64_t draw(uint64_t below) {  // xorshift64*
    uint64_t& x = machine().random;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    return (x * 0x2545f4914f6cdd1dull >> 32) % below;
}

[[noreturn]] static void fail(Fault fault) { _longjmp(machine().block_done, (int)fault); }

// Appends to the message, which is cut off when it is full.
template <class... Args>
static void say(const char* format, Args... args) {
    char* to = machine().request->message;
    const size_t used = strlen(to);
    snprintf(to + used, machine().request->message_bytes - used, format, args...);
}

static void say_where() { say("block (%u, %u, %u), thread %u", blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x); }

// Who waits for what: one clause for each run of threads that wait alike.
[[noreturn]] static void fail_waiting(const char* why) {
    Machine& m = machine();
    say("block (%u, %u, %u): %s:", blockIdx.x, blockIdx.y, blockIdx.z, why);
    for (unsigned t = 0, next; t < m.n_threads; t = next) {
        const Thread& a = m.threads[t];
        for (next = t + 1; next < m.n_threads; ++next) {
            const Thread& b = m.threads[next];
            if (b.state != a.state) break;
            if (a.state != State::kGone && !(b.site == a.site && b.operation == a.operation && b.mask == a.mask)) break;
        }
        say(next > t + 1 ? " threads %u-%u" : " thread %u", t, next - 1);
        if (a.state == State::kGone) say(" returned;");
        if (a.state == State::kAtBarrier) say(" at %s (%s:%d);", a.operation, a.site.file, a.site.line);
        if (a.state == State::kInWarp)
            say(" at %s of lanes %08x (%s:%d);", a.operation, a.mask, a.site.file, a.site.line);
    }
    fail(Fault::kDeadlock);
}

[[noreturn]] static void fail_misuse(const char* what) {
    say_where();
    say(": %s", what);
    fail(Fault::kMisuse);
}

}  // namespace shim

#include "races.h"

namespace shim {

static void make_ready(unsigned t) {
    Machine& m = machine();
    m.threads[t].state = State::kReady;
    m.ready[(m.first_ready + m.n_ready++) % kMaxThreads] = t;
}

// Lets threads [begin, end) that `chosen` picks go on, in the order asked for.
template <class Chosen>
static void make_ready(unsigned begin, unsigned end, Chosen chosen) {
    for (unsigned k = begin; k < end; ++k) {
        const unsigned t = machine().order == Order::kReverse ? begin + end - 1 - k : k;
        if (chosen(t)) make_ready(t);
    }
}

// Leaves the running thread, whose state is saved already, for the next one or, when none is left, for `launch`.
[[noreturn]] static void run_next() {
    Machine& m = machine();
    if (!m.n_ready) {
        if (m.live) fail_waiting("deadlock");
        _longjmp(m.block_done, kBlockDone);
    }
    if (m.order == Order::kRandom) {  // the one drawn changes places with the first
        unsigned& other = m.ready[(m.first_ready + draw(m.n_ready)) % kMaxThreads];
        const unsigned t = other;
        other = m.ready[m.first_ready];
        m.ready[m.first_ready] = t;
    }
    m.current = m.ready[m.first_ready];
    m.first_ready = (m.first_ready + 1) % kMaxThreads;
    --m.n_ready;
    Thread& t = m.threads[m.current];
    if (t.entered) _longjmp(t.resume, 1);
    t.entered = true;
    setcontext(&t.entry);
    abort();
}

// Returns when thread `me` is chosen again. The writes after the jump, seen by the compiler in this function, keep it
// from carrying an old thread index over a call.
__attribute__((noinline)) static void suspend(unsigned me) {
    if (!_setjmp(machine().threads[me].resume)) run_next();
    machine().current = me;
    threadIdx.x = me;
    asm volatile("" ::: "memory");
}

static void release_barrier() {
    Machine& m = machine();
    const Thread* first = nullptr;
    for (unsigned t = 0; t < m.n_threads; ++t) {
        if (m.threads[t].state != State::kAtBarrier) continue;
        if (!first) first = &m.threads[t];
        if (!(m.threads[t].site == first->site)) fail_waiting("threads wait at different barriers");
    }
    m.at_barrier = 0;
    races::at_barrier();
    make_ready(0, m.n_threads, [&](unsigned t) { return m.threads[t].state == State::kAtBarrier; });
}

static void barrier(const char* operation, Site site) {
    Machine& m = machine();
    const unsigned me = m.current;
    Thread& t = m.threads[me];
    t.state = State::kAtBarrier;
    t.operation = operation;
    t.site = site;
    t.mask = 0;
    if (++m.at_barrier == m.live) release_barrier();
    suspend(me);
}

// Ends the collective that `lane` of warp w waits in, if everybody it names has come or is gone.
static void try_release(unsigned w, unsigned lane) {
    Machine& m = machine();
    Warp& warp = m.warps[w];
    Thread* lanes = m.threads + w * kLanes;
    const Thread& asked = lanes[lane];
    const unsigned members = asked.mask & warp.live;
    if (members & ~warp.waiting) return;
    unsigned votes = 0;
    for (unsigned l = 0; l < kLanes; ++l) {
        if (!(members >> l & 1)) continue;
        const Thread& other = lanes[l];
        if (other.mask != asked.mask || other.operation != asked.operation || !(other.site == asked.site)) return;
        votes |= (unsigned)(other.given & 1) << l;
    }
    if (asked.orders_memory) races::at_warp(w, members);
    const bool shuffle = asked.source != kLanes;
    for (unsigned l = 0; l < kLanes; ++l) {
        if (!(members >> l & 1)) continue;
        const uint8_t from = lanes[l].source;
        const uint64_t no_lane = (uint64_t)kPoison << 32 | kPoison;
        lanes[l].taken = !shuffle ? votes : (members >> from & 1) ? lanes[from].given : no_lane;
    }
    // Votes of all and any also ask who took part.
    if (!shuffle)
        for (unsigned l = 0; l < kLanes; ++l)
            if (members >> l & 1) lanes[l].taken |= (uint64_t)members << 32;
    warp.waiting &= ~members;
    make_ready(w * kLanes, (w + 1) * kLanes, [&](unsigned t) { return members >> t % kLanes & 1; });
}

// A shuffle (source below 32: the result is what that lane gave) or a vote (source 32: votes, and above them members).
static uint64_t meet(const char* operation, Site site, unsigned mask, uint64_t given, unsigned source,
                     bool orders_memory = false) {
    Machine& m = machine();
    const unsigned me = m.current, lane = me % kLanes, w = me / kLanes;
    Thread& t = m.threads[me];
    t.operation = operation;
    t.site = site;
    t.mask = mask;
    t.given = given;
    t.source = (uint8_t)source;
    t.orders_memory = orders_memory;
    if (!(mask >> lane & 1)) fail_misuse("a thread calls a collective of its warp with a mask that leaves it out");
    t.state = State::kInWarp;
    m.warps[w].waiting |= 1u << lane;
    try_release(w, lane);
    suspend(me);
    return t.taken;
}

// Random schedules also switch where threads of a GPU would meet in memory.
static inline void maybe_switch() {
    if (machine().order != Order::kRandom || !machine().n_ready || draw(4)) return;
    const unsigned me = machine().current;
    make_ready(me);
    suspend(me);
}

// The running thread has returned: those who waited for it do not any more.
static void finish(unsigned me) {
    Machine& m = machine();
    const unsigned w = me / kLanes, bit = 1u << me % kLanes;
    m.threads[me].state = State::kGone;
    m.warps[w].live &= ~bit;
    --m.live;
    if (m.live && m.at_barrier == m.live) release_barrier();
    for (unsigned l = 0; l < kLanes; ++l)
        if ((m.warps[w].waiting >> l & 1) && (m.threads[w * kLanes + l].mask & bit)) try_release(w, l);
    suspend(me);
}

static void fiber(unsigned me) {
    machine().current = me;
    threadIdx = {me, 0, 0};
    for (;;) {
        machine().body(machine().request->args);
        finish(me);
    }
}

static size_t page_bytes() { return (size_t)sysconf(_SC_PAGESIZE); }

// Fibers of threads that have none, or were left in the middle of a kernel. Below each stack lies a page that faults.
static bool make_fibers(unsigned n) {
    Machine& m = machine();
    const size_t each = kStackBytes + page_bytes();
    if (!m.stacks) {
        void* made = mmap(nullptr, each * kMaxThreads, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (made == MAP_FAILED) return false;
        m.stacks = (unsigned char*)made;
    }
    for (unsigned t = 0; t < n; ++t) {
        if (m.threads[t].entered) continue;
        // Only for fibers in use: a process may have 65,530 mappings, and every library has fibers of its own.
        mprotect(m.stacks + t * each, page_bytes(), PROT_NONE);
        ucontext_t& entry = m.threads[t].entry;
        getcontext(&entry);
        entry.uc_stack.ss_sp = m.stacks + t * each + page_bytes();
        entry.uc_stack.ss_size = kStackBytes;
        entry.uc_link = nullptr;
        makecontext(&entry, (void (*)())fiber, 1, t);
    }
    return true;
}

SHIM_UNSEEN void start_block(uint64_t index) {
    Machine& m = machine();
    const uint32_t* grid = m.request->grid;
    blockIdx = {(unsigned)(index % grid[0]), (unsigned)(index / grid[0] % grid[1]),
                (unsigned)(index / grid[0] / grid[1])};
    for (uintptr_t at = (uintptr_t)__bss_start; at < (uintptr_t)_end; ++at)
        *(unsigned char*)at = (unsigned char)(kPoison >> at % 4 * 8);
    m.live = m.n_threads;
    m.at_barrier = m.first_ready = m.n_ready = 0;
    for (unsigned w = 0; w * kLanes < m.n_threads; ++w) {
        const unsigned left = m.n_threads - w * kLanes;
        m.warps[w] = {left < kLanes ? (1u << left) - 1 : ~0u, 0};
    }
    make_ready(0, m.n_threads, [](unsigned) { return true; });
    races::start_block((uint32_t)index);
}

static void on_signal(int signal, siginfo_t* info, void*) {
    machine().request->address = signal == SIGFPE ? 0 : (uint64_t)(uintptr_t)info->si_addr;
    siglongjmp(machine().crashed, 1);
}

// The signals of a failed access, for as long as it lives. It needs a stack of its own: a fiber's may be what is full.
struct Signals {
    static constexpr int kCaught[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction before[3];
    stack_t stack_before;

    Signals() {
        stack_t mine = {};
        mine.ss_sp = machine().signal_stack;
        mine.ss_size = sizeof machine().signal_stack;
        sigaltstack(&mine, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (int k = 0; k < 3; ++k) sigaction(kCaught[k], &action, &before[k]);
    }
    ~Signals() {
        for (int k = 0; k < 3; ++k) sigaction(kCaught[k], &before[k], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

// Denormal float32 are zero, as in all that CuPy compiles (-ftz=true). The host cannot say so of float32 alone: those
// of float64, of which CUDA keeps the denormals, are too. Fibers inherit it from the launch that made them.
struct FlushesDenormals {
#ifdef __SSE__
    const unsigned before = _mm_getcsr();
    FlushesDenormals() { _mm_setcsr(before | 0x8040); }
    ~FlushesDenormals() { _mm_setcsr(before); }
#endif
};

static Fault run_blocks() {
    const int how = _setjmp(machine().block_done);
    if (how && how != kBlockDone) return (Fault)how;
    if (how) ++machine().blocks_done;
    if (machine().blocks_done == machine().n_blocks) return Fault::kNone;
    start_block(machine().blocks[machine().blocks_done]);
    run_next();
}

static Fault run_guarded() {
    if (sigsetjmp(machine().crashed, 1)) {
        say_where();
        return Fault::kAccess;
    }
    return run_blocks();
}

static void order_blocks() {
    Machine& m = machine();
    for (uint64_t b = 0; b < m.n_blocks; ++b) m.blocks[b] = m.order == Order::kReverse ? m.n_blocks - 1 - b : b;
    for (uint64_t b = m.n_blocks; m.order == Order::kRandom && b > 1; --b) {
        const uint64_t other = draw(b), kept = m.blocks[b - 1];
        m.blocks[b - 1] = m.blocks[other];
        m.blocks[other] = kept;
    }
}

// Runs a kernel to its end and returns a Fault, whose text is then in the request's message.
static int launch(void (*body)(void**), Request* request) {
    if (!machine_made) machine_made = (Machine*)calloc(1, sizeof(Machine));
    if (!machine_made) abort();
    const FlushesDenormals flushes;
    Machine& m = machine();
    m.body = body;
    m.request = request;
    m.n_threads = request->block;
    m.order = request->order;
    m.random = request->seed * 0x9e3779b97f4a7c15ull | 1;
    gridDim = {request->grid[0], request->grid[1], request->grid[2]};
    blockDim = {request->block, 1, 1};
    blockIdx = threadIdx = {0, 0, 0};
    m.n_blocks = (uint64_t)gridDim.x * gridDim.y * gridDim.z;
    m.blocks_done = 0;
    m.blocks = (uint64_t*)malloc(m.n_blocks * sizeof(uint64_t));
    if (!m.blocks || !make_fibers(m.n_threads)) abort();
    order_blocks();
    races::start_launch();
    Fault fault;
    {
        Signals signals;
        fault = run_guarded();
    }
    races::end_launch();
    free(m.blocks);
    if (fault != Fault::kNone)
        for (Thread& t : m.threads) t.entered = false;
    return (int)fault;
}

// What a parameter is, for host_runtime.py: `*` for a pointer, `c` for const, then kind and bytes of the value, such as
// i4, u1, f8; V12 for a struct passed by value, ?4 behind a pointer to a type that is not arithmetic.
template <class T>
struct Kind {
    static constexpr char kLetter = '?';
};
template <>
struct Kind<bool> {
    static constexpr char kLetter = 'b';
};
template <>
struct Kind<float> {
    static constexpr char kLetter = 'f';
};
template <>
struct Kind<double> {
    static constexpr char kLetter = 'f';
};
template <>
struct Kind<char> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<signed char> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<short> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<int> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<long> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<long long> {
    static constexpr char kLetter = 'i';
};
template <>
struct Kind<unsigned char> {
    static constexpr char kLetter = 'u';
};
template <>
struct Kind<unsigned short> {
    static constexpr char kLetter = 'u';
};
template <>
struct Kind<unsigned> {
    static constexpr char kLetter = 'u';
};
template <>
struct Kind<unsigned long> {
    static constexpr char kLetter = 'u';
};
template <>
struct Kind<unsigned long long> {
    static constexpr char kLetter = 'u';
};

template <class T>
struct Described {
    static void as(char* to) { sprintf(to, "%c%zu ", __is_class(T) ? 'V' : Kind<T>::kLetter, sizeof(T)); }
};
template <class T>
struct Described<T*> {
    static void as(char* to) { sprintf(to, "*%c%zu ", Kind<T>::kLetter, sizeof(T)); }
};
template <class T>
struct Described<const T*> {
    static void as(char* to) { sprintf(to, "*c%c%zu ", Kind<T>::kLetter, sizeof(T)); }
};
template <>
struct Described<void*> {
    static void as(char* to) { strcpy(to, "*?1 "); }
};
template <>
struct Described<const void*> {
    static void as(char* to) { strcpy(to, "*c?1 "); }
};

template <int... I>
struct Indices {};
template <int N, int... I>
struct Counted : Counted<N - 1, N - 1, I...> {};
template <int... I>
struct Counted<0, I...> {
    typedef Indices<I...> type;
};

// A kernel and its arguments, identified by its address.
template <auto kernel>
struct Entry;
template <class... P, void (*kernel)(P...)>
struct Entry<kernel> {
    template <int... I>
    static void apply(void** args, Indices<I...>) {
        kernel(*(P*)args[I]...);
    }
    static void body([[maybe_unused]] void** args) { apply(args, typename Counted<(int)sizeof...(P)>::type()); }
    static void describe(char* to) {
        *to = 0;
        (Described<P>::as(to + strlen(to)), ...);
    }
};

constexpr unsigned first_of(unsigned first, unsigned = 0, unsigned = 0) { return first; }

}  // namespace shim

// Makes a kernel callable from outside: `bounds` is what its __launch_bounds__ says, none being 1024.
#define SHIM_EXPORT(name, ...)                                                                         \
    extern "C" __attribute__((visibility("default"))) int shim_launch_##name(shim::Request* request) { \
        return shim::launch(shim::Entry<&name>::body, request);                                        \
    }                                                                                                  \
    extern "C" __attribute__((visibility("default"))) unsigned shim_describe_##name(char* to) {        \
        shim::Entry<&name>::describe(to);                                                              \
        return shim::first_of(__VA_ARGS__);                                                            \
    }
