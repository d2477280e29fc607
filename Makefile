# Everything a contributor does, from nothing: each target makes the virtual environment it needs.
# Those that need a GPU take PYTHON as it is instead, and install nothing: such machines often have no network. For an
# environment where there is one: make .venv/dev .venv/cuda13 (or 12), then PYTHON=.venv/bin/python.
# Set PYTHON to choose another interpreter (3.11 or newer), WORKERS for the number of test processes.

PYTHON ?= python3
WORKERS ?= 2
# Seconds after which a test counts as hung and fails with the stacks of its threads.
TEST_TIMEOUT ?= 600
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DEMO := .demo
DATA ?= samples
RESULTS ?= benchmarks/results/samples
STACKS ?= samples
ALL_RESULTS ?= out/all
SUITES ?= all
BENCH ?= --quick
SECONDS ?= 600
NVRTC ?= 12.0.140 12.9.86 13.0.48
OUT ?= out/gpu
GALLERY ?= out/gallery
STAGES ?=
ASAN_TESTS ?= tests/io tests/format tests/profiles tests/container tests/corrupt tests/render tests/decoding \
	tests/fuzz/test_corpus.py \
	tests/fuzz/test_mutants.py::test_mutants_of_all_kinds_are_taken_alike
KILLS ?= 100
SOURCES := pyproject.toml CMakeLists.txt constraints.txt \
	$(shell find gscodec/native -name "*.cpp" -o -name "*.h")
NATIVE = $(shell find gscodec tests -name "*.cpp" -o -name "*.h" -o -name "*.cu" -o -name "*.cuh")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types unit fuzz asan tsan on-gpu test-cuda races mutants stress kernels nvrtc bench bench-all bench-check bench-gpu vectors guard-update docs gallery site wasm shaders wheel sdist wheel-test clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## install, encode a sample, decode it, show the figures
	@mkdir -p $(DEMO)
	$(BIN)/gscodec encode samples/photo_dandelions.png $(DEMO)/photo_dandelions.igs --bpp 0.5 --preset fast --overwrite
	$(BIN)/gscodec decode $(DEMO)/photo_dandelions.igs $(DEMO)/photo_dandelions.png --overwrite
	$(BIN)/gscodec compare samples/photo_dandelions.png $(DEMO)/photo_dandelions.png
	@echo "The file is $(DEMO)/photo_dandelions.igs, the decoded picture $(DEMO)/photo_dandelions.png"

test unit: export SKBUILD_CMAKE_DEFINE = GSCODEC_WERROR=ON
test: lint types unit ## run linter, type checker and all tests

lint: $(VENV)/dev ## check style (ruff, clang-format)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)

types: $(VENV)/dev ## check types (mypy --strict)
	$(BIN)/mypy

unit: $(VENV)/dev $(VENV)/chromium $(VENV)/graphics $(VENV)/rust ## run the tests alone (pytest)
	$(BIN)/pytest -q -n $(WORKERS) --timeout $(TEST_TIMEOUT)

fuzz: $(VENV)/dev ## fuzz all readers with mutated files for SECONDS (600); clang adds coverage guidance
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

asan: $(VENV)/sanitize ## run the tests of formats and engine under AddressSanitizer and UBSan
	$(BIN)/cmake -S . -B build/asan -DCMAKE_BUILD_TYPE=Debug -DGSCODEC_SANITIZE=address,undefined \
		-DPython_EXECUTABLE=$(abspath $(BIN)/python)
	$(BIN)/cmake --build build/asan -j $(WORKERS)
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=tests/fuzz ENGINE=build/asan \
		$(BIN)/python -m pytest -q -p sanitized_engine $(ASAN_TESTS)

tsan: $(VENV)/dev ## look for data races in the engine's thread pool
	$(BIN)/python -m pytest -q tests/fuzz/test_native.py -k thread_pool

on-gpu: SECONDS = 560
on-gpu: ## build, check and measure all that needs a GPU (OUT=folder SECONDS=560 STAGES=smoke,tests,bench)
	$(PYTHON) benchmarks/on_gpu.py $(OUT) $(SECONDS) $(STAGES)

test-cuda: ## run the tests that need a GPU; they fail where none opens
	$(PYTHON) benchmarks/_gpu_build.py
	GSCODEC_NEED_GPU=1 $(PYTHON) -m pytest -q -m cuda tests/cuda tests/render

races: $(VENV)/dev ## run the kernels' tests under the race detector, and again without each barrier
	GSCODEC_RACES=1 $(BIN)/pytest -q -n $(WORKERS) -m "not cuda" --ignore tests/cuda/test_bench_gpu.py \
		--ignore tests/cuda/test_on_gpu.py tests/cuda tests/render
	$(BIN)/python tests/cuda/mutants.py --barriers -j $(WORKERS)

mutants: $(VENV)/dev ## change operators of the CUDA kernels one by one; a test must fail for each
	$(BIN)/python tests/cuda/mutants.py -j $(WORKERS)

stress: $(VENV)/dev ## kill encoding and decoding batches 100 times at random and check the results (KILLS=n)
	$(BIN)/python tests/stress/batch_kill.py --kills $(KILLS)

kernels: $(VENV)/dev ## compile every CUDA kernel for every architecture; needs no GPU
	$(BIN)/python -m gscodec.render.kernel_report -j $(WORKERS)

nvrtc: $(VENV)/dev ## compile the CUDA kernels with older compilers, which it downloads (NVRTC="12.0.140 13.0.48")
	@for version in $(NVRTC); do \
		case $$version in 12.*) package=nvidia-cuda-nvrtc-cu12;; *) package=nvidia-cuda-nvrtc;; esac; \
		$(PIP) install --upgrade --no-deps --target build/nvrtc/$$version $$package==$$version || exit; \
		echo "NVRTC $$version"; \
		GSCODEC_NVRTC=$$(echo build/nvrtc/$$version/nvidia/*/lib/libnvrtc.so.*) \
			$(BIN)/python -m pytest -q tests/cuda/test_nvrtc.py || exit; \
	done

bench: $(VENV)/bench ## measure gscodec and other codecs (DATA=folder RESULTS=folder SUITES=rd,lod BENCH= for all of it)
	PYTHONPATH=benchmarks $(BIN)/python -m gscodec_bench $(DATA) --suite $(SUITES) --skip 'readme_*' --skip 'odd/*' \
		--output $(RESULTS) --files out/files $(BENCH)
	$(BIN)/python benchmarks/readme_table.py
	$(BIN)/python benchmarks/encoders.py

bench-all: ## all suites at all rates on DATA and on STACKS; takes days on a CPU, and continues where it stopped
	$(MAKE) bench DATA="$(DATA)" RESULTS=$(ALL_RESULTS)/pictures SUITES=rd,visual,crops,lod,arriving,ablation,restoration,speed BENCH=
	$(MAKE) bench DATA="$(STACKS)" RESULTS=$(ALL_RESULTS)/stacks SUITES=stacks BENCH=

bench-check: $(VENV)/bench ## compare a few short fits with the committed ones: fails on a loss of 0.1 dB or 1 % of the bytes
	PYTHONPATH=benchmarks $(BIN)/python -m gscodec_bench samples --suite check --skip 'readme_*' --output out/check --metrics psnr,ms_ssim \
		--against benchmarks/results/check/check.csv

bench-gpu: ## time the CUDA engine on the GPU at hand, every row saved as it comes (SECONDS=600)
	$(PYTHON) benchmarks/_gpu_build.py
	PYTHONPATH=$(CURDIR) $(PYTHON) benchmarks/gpu.py --seconds $(SECONDS)

vectors: $(VENV)/dev ## add missing files of spec/vectors and shaders/vectors; never overwrites one
	$(BIN)/python tests/support/make_vectors.py

guard-update: $(VENV)/dev ## rewrite the table of PSNR that make test compares fits with, after an intended change
	$(BIN)/python tests/support/quality.py

docs: $(VENV)/dev ## write docs/cli.md and the manual page from the commands' help
	$(BIN)/python docs/make_cli_reference.py
	$(BIN)/python docs/make_man_page.py

gallery: $(VENV)/installed ## write pages that show the samples in the viewer (GALLERY=out/gallery)
	$(BIN)/python docs/make_gallery.py $(GALLERY)

site: $(VENV)/site ## build the documentation's site, build/site, with warnings as errors
	$(VENV)/site/bin/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site -d build/site-cache . build/site

wasm: ## build the decoder for browsers, gscodec/viewer/igs.wasm (needs clang and lld)
	libigs/wasm/build.sh $(CURDIR)/gscodec/viewer/igs.wasm

shaders: ## write shaders/igs_sample.hlsl from the GLSL
	$(PYTHON) shaders/make_hlsl.py

wheel: $(VENV)/pip ## build an installable wheel into dist/
	$(PIP) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

sdist: $(VENV)/pip ## build the source distribution into dist/
	$(PIP) install "build>=1.2"
	$(BIN)/python -m build --quiet --sdist --outdir dist .
	@ls dist/*.tar.gz

wheel-test: ## build sdist and wheel, the wheel from the sdist, and try it in a new environment without a compiler
	$(PYTHON) release/wheel_test.py --python $(PYTHON)

clean: ## remove everything the targets made
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each stands for one step done, and is redone when what it was made from is newer.
$(VENV)/pip:
	@echo "making the virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1" # dependency groups
	@touch $@

$(VENV)/installed: $(VENV)/pip $(SOURCES)
	@echo "building and installing gscodec (the first time takes minutes)"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/dev: $(VENV)/installed
	@$(PIP) install --constraint constraints.txt torch --group dev
	@touch $@

# The tests of the viewer fail without a browser, and say so; where apt-get may install one, it does.
$(VENV)/chromium: $(VENV)/pip
	@PYTHONPATH=tests/support $(BIN)/python -c "import chromium; chromium.chromium_path()" 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >/dev/null 2>&1 || \
		echo "Chromium cannot be installed: the tests of the viewer will fail; set CHROMIUM to the path of a browser" >&2
	@touch $@

# Likewise a GPU for WebGPU, which may be Mesa's software driver, and the compiler that tests of HLSL use.
$(VENV)/graphics: $(VENV)/dev
	@{ command -v glslangValidator && $(BIN)/python -c "import wgpu; wgpu.gpu.request_adapter_sync()"; } >/dev/null 2>&1 || \
		{ [ "$$(id -u)" = 0 ] && apt-get -qq update && \
		apt-get -qq install -y --no-install-recommends glslang-tools mesa-vulkan-drivers; } >/dev/null 2>&1 || \
		echo "glslang-tools or mesa-vulkan-drivers cannot be installed: tests of shaders and of device gpu may fail" >&2
	@touch $@

# Of its own: what builds the site is no part of what the tests run with.
$(VENV)/site: $(VENV)/pip docs/site/requirements.txt $(SOURCES)
	@$(PYTHON) -m venv $@
	@$@/bin/python -m pip --quiet --disable-pip-version-check install --requirement docs/site/requirements.txt .
	@touch $@

# And a Rust compiler for the example of libigs in Rust.
$(VENV)/rust: $(VENV)/pip
	@command -v rustc >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y --no-install-recommends rustc; } >/dev/null 2>&1 || \
		echo "rustc cannot be installed: the test of libigs's example in Rust will fail" >&2
	@touch $@

$(VENV)/sanitize: $(VENV)/dev
	@$(PIP) install "cmake>=3.22" "nanobind>=2.4"
	@touch $@

$(VENV)/bench: $(VENV)/installed
	@$(PIP) install --constraint constraints.txt torch --group bench
	@touch $@

$(VENV)/cuda12 $(VENV)/cuda13: $(VENV)/cuda%: $(VENV)/installed
	@$(PIP) install --constraint constraints.txt --editable ".[cuda$*]"
	@touch $@
