// Which accesses to memory nothing orders: a happens-before race detector, for builds with SHIM_RACES.
//
// The compiler calls __tsan_read4 and its like before every access (-fsanitize=thread, of which nothing else is used:
// libtsan is not linked), and tells of addresses that do not suit their type (-fsanitize=alignment). Watched are the
// launch's arrays and shared memory, byte by byte; stacks and the shim's own variables are not. One schedule is enough:
// what counts is not in which order two accesses happened, but whether anything made them happen in that order. On a
// GPU the order is made by these, and so it is here:
//
//   the order of a thread's own program
//   __syncthreads        all threads of the block, before and after
//   __syncwarp           the lanes that its mask names, before and after
//   __threadfence        with atomics around it: what is before a fence is before what is after another fence, where an
//                        atomic after the first and one before the second are of the same variable, in that order
//                        (a fence counts for the thread that calls it, and for what barriers ordered before it)
//   the end of a kernel
//
// Nothing else makes one: votes and shuffles do not, atomics by themselves do not, blocks have no order, and
// __threadfence_block does not reach beyond its block, where we have barriers. Two accesses to a byte race when nothing
// orders them, one of them writes, and they are not both atomic.
//
// Of each byte's history is kept: the last write, the last atomic of another thread, and four reads: one of another
// block, two of one warp and one of another warp. That is enough for full warps and barriers; where masks name part of
// a warp, or blocks wait for some of the others, a read may be forgotten that a later write races with.
#pragma once

#ifndef SHIM_RACES

#define SHIM_UNSEEN static inline

namespace shim {
namespace races {
static inline void start_launch() {}
static inline void start_block(uint32_t) {}
static inline void end_launch() {}
static inline void at_barrier() {}
static inline void at_warp(unsigned, unsigned) {}
static inline void at_fence() {}
static inline void at_atomic(const void*, size_t, const void*) {}
}  // namespace races
}  // namespace shim

#else

// No callbacks in it; not inlined, since a caller has them.
#define SHIM_UNSEEN __attribute__((no_sanitize_thread, noinline)) static

extern "C" const unsigned char __ehdr_start[] __attribute__((visibility("hidden")));

namespace shim {
namespace races {

constexpr unsigned kPlaces = 16;
constexpr uint32_t kAtomic = 1u << 31;
constexpr uint32_t kMostAfterRace = 1 << 12;  // barriers: what a race has broken may go on for ever

// How many of the releases through each place a thread knows of.
struct Knowledge {
    uint32_t of[kPlaces];

    __attribute__((no_sanitize_thread)) void add(const Knowledge& other) {
        for (unsigned p = 0; p < kPlaces; ++p)
            if (other.of[p] > of[p]) of[p] = other.of[p];
    }
};

// A thread between two of its synchronisations.
struct Moment {
    uint32_t block, thread, epoch, time;
};

// All that was ordered before a fence: what barriers ordered, and of the warp's lanes what came up to these times.
struct Release {
    Moment at;
    uint32_t seen[kLanes];
};

// A variable that atomics hand something on through.
struct Place {
    uintptr_t address;
    Release* releases;
    uint32_t n, room;
    Knowledge passed;
};

struct Progress {
    uint32_t moment;  // 0: to be made at the next access
    uint32_t time;    // of the thread's own, 1 at first
    uint32_t seen[kLanes];
    Knowledge known, met;  // met: by atomics, with no fence since
    bool fenced;
    Release fence;
    Knowledge at_fence;
};

struct Mark {
    uint32_t moment;  // 0: none
    uint32_t where;   // address of the code, from the library's start; kAtomic
};

struct Cell {
    Mark writer, other_atomic;   // the latter of another thread than the writer, which is atomic too
    Mark foreign, near[2], far;  // reads: of another block, of one warp, of another warp
};

struct State {
    Cell** cells;  // of each range of the request, then of shared memory
    Moment* moments;
    uint32_t n_moments, room;
    uint32_t block, epoch;
    Progress threads[kMaxThreads];
    Place places[kPlaces];
    uint32_t n_places, after_race;
    bool active;
};
SHIM_DATA static State* state_made = nullptr;
__attribute__((no_sanitize_thread)) static inline State& state() { return *state_made; }

SHIM_UNSEEN bool precedes(const Moment& a, const Moment& b, const uint32_t* seen) {
    if (a.epoch < b.epoch) return true;
    return a.thread / kLanes == b.thread / kLanes && seen[a.thread % kLanes] >= a.time;
}

// Whether what made the mark is ordered before what thread `me` does now.
SHIM_UNSEEN bool ordered(const Mark& mark, unsigned me) {
    State& s = state();
    const Progress& p = s.threads[me];
    const Moment& then = s.moments[mark.moment];
    if (then.block == s.block && (then.thread == me || precedes(then, {s.block, me, s.epoch, p.time}, p.seen)))
        return true;
    for (unsigned place = 0; place < s.n_places; ++place)
        for (uint32_t k = 0; k < p.known.of[place]; ++k) {
            const Release& release = s.places[place].releases[k];
            if (release.at.block == then.block && precedes(then, release.at, release.seen)) return true;
        }
    return false;
}

SHIM_UNSEEN void report(uintptr_t address, uint32_t bytes, const Mark* before, bool before_writes, const Mark& now,
                        bool now_writes) {
    State& s = state();
    Request& r = *machine().request;
    const auto party = [&](const Mark& mark, bool writes) __attribute__((no_sanitize_thread)) {
        const Moment& m = s.moments[mark.moment];
        return Party{m.block, m.thread, mark.where & ~kAtomic, (uint32_t)writes | (mark.where & kAtomic ? 2u : 0u)};
    };
    const Race race = {address, bytes, before != nullptr, party(before ? *before : now, before_writes),
                       party(now, now_writes)};
    for (uint32_t k = 0; k < r.n_races && k < r.max_races; ++k)
        if (r.races[k].before.where == race.before.where && r.races[k].now.where == race.now.where) return;
    if (r.n_races < r.max_races) r.races[r.n_races] = race;
    ++r.n_races;
}

SHIM_UNSEEN uint32_t moment_of(unsigned me) {
    State& s = state();
    Progress& p = s.threads[me];
    if (p.moment && s.moments[p.moment].epoch == s.epoch) return p.moment;
    if (s.n_moments == s.room) {
        s.room = s.room ? 2 * s.room : 1 << 12;
        s.moments = (Moment*)realloc(s.moments, s.room * sizeof(Moment));
        if (!s.moments) abort();
    }
    s.moments[s.n_moments] = {s.block, me, s.epoch, p.time};
    return p.moment = s.n_moments++;
}

// The reads worth keeping of those there were and the latest.
SHIM_UNSEEN void add_reader(Cell& cell, const Mark& now, unsigned me) {
    State& s = state();
    const Mark old[] = {cell.foreign, cell.near[0], cell.near[1], cell.far};
    cell.foreign = cell.near[1] = cell.far = {0, 0};
    cell.near[0] = now;
    for (const Mark& mark : old) {
        if (!mark.moment || ordered(mark, me)) continue;  // a write that races with it races with this one too
        const Moment& m = s.moments[mark.moment];
        (m.block != s.block ? cell.foreign : m.thread / kLanes == me / kLanes ? cell.near[1] : cell.far) = mark;
    }
}

SHIM_UNSEEN void note(Cell& cell, uintptr_t address, uint32_t bytes, bool writes, const Mark& now, unsigned me) {
    const auto check = [&](const Mark& mark, bool wrote) __attribute__((no_sanitize_thread)) {
        if (mark.moment && !(mark.where & now.where & kAtomic) && !ordered(mark, me))
            report(address, bytes, &mark, wrote, now, writes);
    };
    check(cell.writer, true);
    check(cell.other_atomic, true);
    if (!writes) return add_reader(cell, now, me);
    check(cell.foreign, false);
    check(cell.near[0], false);
    check(cell.near[1], false);
    check(cell.far, false);
    Mark other = {0, 0};
    if (now.where & kAtomic) {
        const Mark& last = cell.writer;
        if (last.moment && (last.where & kAtomic)) other = ordered(last, me) ? cell.other_atomic : last;
    }
    cell = {now, other, {0, 0}, {{0, 0}, {0, 0}}, {0, 0}};
}

// The cell of an address, and how many bytes from there on are watched; null for what is not.
SHIM_UNSEEN Cell* cell_of(uintptr_t at, size_t& bytes) {
    const Request& r = *machine().request;
    const uintptr_t shared = (uintptr_t)__bss_start, shared_end = (uintptr_t)_end;
    if (at >= shared && at < shared_end) {
        if (bytes > shared_end - at) bytes = shared_end - at;
        return state().cells[r.n_ranges] + (at - shared);
    }
    for (uint32_t k = 0; k < r.n_ranges; ++k) {
        const uintptr_t from_start = at - r.ranges[k].start;
        if (from_start >= r.ranges[k].bytes) continue;
        if (bytes > r.ranges[k].bytes - from_start) bytes = r.ranges[k].bytes - from_start;
        return state().cells[k] + from_start;
    }
    return nullptr;
}

SHIM_UNSEEN bool same(const Cell& a, const Cell& b) { return !__builtin_memcmp(&a, &b, sizeof a); }

SHIM_UNSEEN void access(uintptr_t at, size_t bytes, bool writes, uint32_t atomic, const void* code) {
    if (!state_made || !state().active) return;
    const uint32_t n = (uint32_t)bytes;
    Cell* cells = cell_of(at, bytes);
    if (!cells) return;
    const unsigned me = machine().current;
    const Mark now = {moment_of(me), (uint32_t)((uintptr_t)code - (uintptr_t)__ehdr_start) | atomic};
    Cell before = cells[0];
    note(cells[0], at, n, writes, now, me);
    for (size_t k = 1; k < bytes; ++k) {
        if (same(cells[k], before)) {
            cells[k] = cells[k - 1];
        } else {
            before = cells[k];
            note(cells[k], at + k, n, writes, now, me);
        }
    }
}

// The compiler's own check (-fsanitize=alignment): an address does not suit the type it is used as.
SHIM_UNSEEN void misaligned(uintptr_t at, uint32_t alignment, const void* code) {
    size_t bytes = 1;
    if (!state_made || !state().active || !cell_of(at, bytes)) return;
    const Mark now = {moment_of(machine().current), (uint32_t)((uintptr_t)code - (uintptr_t)__ehdr_start)};
    report(at, alignment, nullptr, false, now, false);
    fail(Fault::kMisuse);  // the host may not be able to make the access either
}

SHIM_UNSEEN void start_launch() {
    if (!state_made) state_made = (State*)calloc(1, sizeof(State));
    if (!state_made) abort();
    State& s = state();
    const Request& r = *machine().request;
    s.n_moments = 1;
    s.n_places = s.after_race = 0;
    s.active = false;
    if (!s.room) {
        s.room = 1 << 12;
        s.moments = (Moment*)malloc(s.room * sizeof(Moment));
    }
    s.cells = (Cell**)calloc(r.n_ranges + 1, sizeof(Cell*));
    if (!s.moments || !s.cells) abort();
    for (uint32_t k = 0; k <= r.n_ranges; ++k) {
        const size_t n = k < r.n_ranges ? r.ranges[k].bytes : (size_t)(_end - __bss_start);
        s.cells[k] = (Cell*)calloc(n + 1, sizeof(Cell));
        if (!s.cells[k]) abort();
    }
}

SHIM_UNSEEN void end_launch() {
    State& s = state();
    s.active = false;
    for (uint32_t k = 0; k <= machine().request->n_ranges; ++k) free(s.cells[k]);
    free(s.cells);
    for (unsigned p = 0; p < s.n_places; ++p) free(s.places[p].releases);
    __builtin_memset(s.places, 0, sizeof s.places);
}

SHIM_UNSEEN void start_block(uint32_t index) {
    State& s = state();
    s.block = index;
    s.epoch = 0;
    __builtin_memset(s.threads, 0, machine().n_threads * sizeof(Progress));
    for (unsigned t = 0; t < machine().n_threads; ++t) s.threads[t].time = 1;
    __builtin_memset(s.cells[machine().request->n_ranges], 0, (size_t)(_end - __bss_start) * sizeof(Cell));
    s.active = true;
}

SHIM_UNSEEN void at_barrier() {
    State& s = state();
    if (machine().request->n_races && ++s.after_race > kMostAfterRace) fail_misuse("no end after a race");
    ++s.epoch;
    if (!s.n_places) return;
    Knowledge all = {};
    for (unsigned t = 0; t < machine().n_threads; ++t) all.add(s.threads[t].known);
    for (unsigned t = 0; t < machine().n_threads; ++t) s.threads[t].known = all;
}

// The lanes `members` of warp w have met in __syncwarp.
SHIM_UNSEEN void at_warp(unsigned w, unsigned members) {
    Progress* lanes = state().threads + w * kLanes;
    uint32_t seen[kLanes] = {};
    Knowledge all = {};
    for (unsigned l = 0; l < kLanes; ++l) {
        if (!(members >> l & 1)) continue;
        lanes[l].seen[l] = lanes[l].time;
        for (unsigned k = 0; k < kLanes; ++k)
            if (lanes[l].seen[k] > seen[k]) seen[k] = lanes[l].seen[k];
        all.add(lanes[l].known);
    }
    for (unsigned l = 0; l < kLanes; ++l) {
        if (!(members >> l & 1)) continue;
        __builtin_memcpy(lanes[l].seen, seen, sizeof seen);
        lanes[l].known = all;
        ++lanes[l].time;
        lanes[l].moment = 0;
    }
}

SHIM_UNSEEN void at_fence() {
    State& s = state();
    const unsigned me = machine().current, lane = me % kLanes;
    Progress& p = s.threads[me];
    p.known.add(p.met);
    p.fenced = true;
    p.fence.at = {s.block, me, s.epoch, p.time};
    p.seen[lane] = p.time;
    __builtin_memcpy(p.fence.seen, p.seen, sizeof p.seen);
    p.at_fence = p.known;
    ++p.time;
    p.moment = 0;
}

SHIM_UNSEEN void at_atomic(const void* at, size_t bytes, const void* code) {
    access((uintptr_t)at, bytes, true, kAtomic, code);
    State& s = state();
    Progress& p = s.threads[machine().current];
    unsigned place = 0;
    while (place < s.n_places && s.places[place].address != (uintptr_t)at) ++place;
    if (place < s.n_places) p.met.add(s.places[place].passed);
    if (!p.fenced) return;
    if (place == kPlaces) fail_misuse("atomics after fences go to more variables than the race detector follows");
    Place& to = s.places[place];
    if (place == s.n_places) {
        ++s.n_places;
        to = {(uintptr_t)at, nullptr, 0, 0, {}};
    }
    if (to.n == to.room) {
        to.room = to.room ? 2 * to.room : 64;
        to.releases = (Release*)realloc(to.releases, to.room * sizeof(Release));
        if (!to.releases) abort();
    }
    to.releases[to.n++] = p.fence;
    to.passed.add(p.at_fence);
    to.passed.of[place] = to.n;
}

}  // namespace races
}  // namespace shim

#define SHIM_CALLBACK(result, name, ...) \
    extern "C" __attribute__((visibility("hidden"), no_sanitize_thread, noinline, used)) result name(__VA_ARGS__)
#define SHIM_CODE __builtin_return_address(0)
#define SHIM_CALLBACKS(n)                                                                                         \
    SHIM_CALLBACK(void, __tsan_read##n, void* at) { shim::races::access((uintptr_t)at, n, false, 0, SHIM_CODE); } \
    SHIM_CALLBACK(void, __tsan_write##n, void* at) { shim::races::access((uintptr_t)at, n, true, 0, SHIM_CODE); } \
    SHIM_CALLBACK(void, __tsan_unaligned_read##n, void* at) {                                                     \
        shim::races::access((uintptr_t)at, n, false, 0, SHIM_CODE);                                               \
    }                                                                                                             \
    SHIM_CALLBACK(void, __tsan_unaligned_write##n, void* at) {                                                    \
        shim::races::access((uintptr_t)at, n, true, 0, SHIM_CODE);                                                \
    }
SHIM_CALLBACKS(1)
SHIM_CALLBACKS(2)
SHIM_CALLBACKS(4)
SHIM_CALLBACKS(8)
SHIM_CALLBACKS(16)
SHIM_CALLBACK(void, __tsan_read_range, void* at, size_t n) {
    shim::races::access((uintptr_t)at, n, false, 0, SHIM_CODE);
}
SHIM_CALLBACK(void, __tsan_write_range, void* at, size_t n) {
    shim::races::access((uintptr_t)at, n, true, 0, SHIM_CODE);
}
// What -fsanitize=alignment says of an access that it calls back for.
struct ShimMismatch {
    const char* file;
    uint32_t line, column;
    const void* type;
    unsigned char log_alignment, kind;
};
SHIM_CALLBACK(void, __ubsan_handle_type_mismatch_v1, ShimMismatch* what, uintptr_t at) {
    shim::races::misaligned(at, 1u << what->log_alignment, SHIM_CODE);
}
SHIM_CALLBACK(void, __tsan_func_entry, void*) {}
SHIM_CALLBACK(void, __tsan_func_exit, void) {}
SHIM_CALLBACK(void, __tsan_init, void) {}

#endif
