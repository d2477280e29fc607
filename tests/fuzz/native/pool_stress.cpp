// Uses the engine's thread pool in every way that it may be used: several callers at once, calls inside calls, tasks
// that throw, and fork() while others work. Ends with 0 where every task was run once; `make tsan` looks for data races
// in it.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "threads/thread_pool.h"

using gscodec::parallel_for;

namespace {

constexpr int kThreads = 4, kCallers = 3;

void expect(bool fine, const char* what) {
    if (fine) return;
    std::fprintf(stderr, "pool_stress: %s\n", what);
    std::_Exit(1);
}

// A plain array that tasks write to without locks: a race, or a task that is run twice or never, shows.
void every_task_runs_once(int64_t n) {
    std::vector<int> seen(static_cast<size_t>(n), 0);
    parallel_for(n, kThreads, [&](int64_t task) { ++seen[static_cast<size_t>(task)]; });
    for (const int times : seen) expect(times == 1, "a task was not run once");
}

void calls_inside_calls() {
    std::vector<std::vector<int>> seen(8, std::vector<int>(16, 0));
    parallel_for(8, kThreads, [&](int64_t outer) {
        parallel_for(16, kThreads, [&](int64_t inner) {
            parallel_for(2, kThreads, [&](int64_t half) { seen[outer][inner] += static_cast<int>(1 + half); });
        });
    });
    for (const auto& row : seen)
        for (const int sum : row) expect(sum == 3, "a task inside a task was not run once");
}

void tasks_that_throw() {
    std::atomic<int> running{0};
    bool caught = false;
    try {
        parallel_for(64, kThreads, [&](int64_t task) {
            ++running;
            if (task % 7 == 3) {
                --running;
                throw std::runtime_error("as planned");
            }
            --running;
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    expect(caught, "an exception was lost");
    expect(running == 0, "a task was still running when the exception came out");
    bool inner = false;
    parallel_for(4, kThreads, [&](int64_t task) {
        try {
            parallel_for(4, kThreads, [](int64_t) { throw std::logic_error("inside"); });
        } catch (const std::logic_error&) {
            if (task == 0) inner = true;
        }
    });
    expect(inner, "an exception of a call inside a call was lost");
}

void concurrent_callers(int rounds) {
    std::vector<std::thread> callers;
    for (int c = 0; c < kCallers; ++c)
        callers.emplace_back([rounds, c] {
            for (int round = 0; round < rounds; ++round) {
                every_task_runs_once(1 + (round * 7 + c) % 40);
                if (round % 5 == 0) tasks_that_throw();
                if (round % 9 == 0) calls_inside_calls();
            }
        });
    for (std::thread& caller : callers) caller.join();
}

// Children of a process whose pool is at work, some of them forked inside a task.
void forks(int rounds) {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        while (!stop) every_task_runs_once(30);
    });
    const auto child_works = [] {
        const pid_t child = fork();
        if (!child) {
            alarm(20);  // a child that waits for a lock for ever ends by SIGALRM
            every_task_runs_once(50);
            calls_inside_calls();
            std::_Exit(0);
        }
        int status = 0;
        expect(child > 0 && waitpid(child, &status, 0) == child, "fork failed");
        expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked process could not use the pool");
    };
    for (int round = 0; round < rounds; ++round) child_works();
    parallel_for(3, kThreads, [&](int64_t) { child_works(); });
    stop = true;
    busy.join();
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
    alarm(120);
    every_task_runs_once(1000);
    calls_inside_calls();
    tasks_that_throw();
    concurrent_callers(rounds);
    forks(rounds / 10);
    return 0;
}
