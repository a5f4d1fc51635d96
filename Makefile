# Builds, demonstrates and tests ngx_zertiban_module.
#
#   make         builds build/ngx_zertiban_module.so for the installed nginx
#   make deps    installs what the build needs
#   make demo    installs what is missing, builds, shows the module at work
#   make serve   the same, but stays up for playing
#   make test    installs what is missing, builds, runs the tests
#   make deb     installs what is missing, builds the Debian package
#   make clean   removes build/
#
# The proofs, each of which installs what it lacks as well:
#
#   make asan      the tests, with module and nginx under sanitizers
#   make valgrind  some of them under valgrind
#   make lint      static analysis, and the style of the sources
#   make fuzz      each parser with random input for FUZZ_SECONDS
#   make storm     calls of all kinds, and all faults, for STORM_SECONDS
#   make interop   tokens from identity providers that others wrote
#   make matrix    the tests with nginx of several Debian releases
#   make bench     what a request costs, beside other ways to do the same
#   make monitor   alerts and dashboard with Prometheus, the page in Chromium
#   make fleet     what many gateways cost the token endpoint
#   make packages  what people install, where they install it
#
# For another nginx than the installed one name its sources and its binary:
# make NGINX_SRC=../nginx-1.30.4 NGINX=../nginx-1.30.4/objs/nginx

NGINX_SRC   ?= /usr/share/nginx/src
NGINX       ?= nginx

# flags for configure of an nginx that is not Debian's, and for the compiler
NGINX_CONF_FLAGS ?=
CC_OPT      ?=
LD_OPT      ?=

TESTS       ?= t/*.t
PROVE_FLAGS ?=

# tests wait more than they compute
at_a_time   := -j $(shell expr 2 '*' $$(nproc))

build       := $(CURDIR)/build
module      := $(build)/ngx_zertiban_module.so
sources     := $(wildcard ngx_zertiban_module/*.[ch] \
                   ngx_zertiban_module/*/*.[ch])

nginx       := $(realpath $(shell \
                   PATH="$$PATH:/usr/local/sbin:/usr/sbin" command -v $(NGINX)))

export NGINX_SRC NGINX_CONF_FLAGS CC_OPT LD_OPT

# nginx looks there for sockets to inherit
unexport NGINX

export TEST_NGINX_BINARY    := $(nginx)
export TEST_NGINX_SERVROOT  := $(build)/servroot
export TEST_ZERTIBAN_MODULE := $(module)

# each is a program: t/asan/run, ...
proofs       := asan valgrind lint fuzz storm interop matrix bench monitor \
                fleet packages

# once packages are installed, nginx has to be looked for again
again        = $(MAKE) --no-print-directory

.DELETE_ON_ERROR:

all: $(module)

$(module): $(build)/objs/Makefile $(sources)
	@echo "  building $(@:$(CURDIR)/%=%)"
	@$(MAKE) --no-print-directory -s -C $(build)/src \
	    -f $(build)/objs/Makefile modules
	@cp $(build)/objs/$(@F) $@.new
	@mv $@.new $@

$(build)/objs/Makefile: config t/tools/configure $(build)/nginx
	@t/tools/configure $(build)

# changes whenever the module has to be configured anew
$(build)/nginx: force
	@t/tools/configure --check $@

deps:
	@t/tools/install-packages build

demo serve:
	@t/tools/install-packages build demo
	@$(again) all
	@$(again) run-$@

run-demo run-serve:
	@t/demo/run $(@:run-%=%)

test:
	@t/tools/install-packages build demo test
	@$(again) all
	@$(again) run-test PROVE_FLAGS="$(or $(PROVE_FLAGS),$(at_a_time))"

run-test:
	prove -I t/lib $(PROVE_FLAGS) $(TESTS)

deb:
	@t/tools/install-packages build deb
	@t/tools/build-deb

$(proofs):
	@t/tools/install-packages build demo test $@
	@$(again) all
	@$(again) run-$@

$(proofs:%=run-%):
	@t/$(@:run-%=%)/run

clean:
	rm -rf build

force:

.PHONY: all deps demo serve run-demo run-serve test run-test deb clean force \
    $(proofs) $(proofs:%=run-%)
