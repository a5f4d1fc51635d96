# The targets: read by make behind the Makefile that nginx's configure has
# written, for its compiler, its flags, and its objects.
#
# FUZZ is this folder, MODULE the sources of the module, OUT where targets go.

rooms   := counters demand endpoint file form headers identity life node out \
           pairs request response secret shm survey token tries zone
targets := credential delays endpoint form headers out pairs request response \
           retry_after token zone

folders := $(MODULE) $(wildcard $(MODULE)/*/.)
sources := $(wildcard $(folders:%=%/*.h) $(FUZZ)/*.h) $(OBJS)/Makefile
frame   := $(OUT)/fuzz.o $(OUT)/fuzz_json.o $(OUT)/fuzz_zone.o
libs    := $(shell grep -oE '[[:space:]]-l[a-z0-9_-]+' $(OBJS)/Makefile) -lcjson

compile  = $(CC) -c $(CFLAGS) $(ALL_INCS) $(folders:%=-I %) -o $@

vpath ngx_zertiban_%.c $(folders)

.DELETE_ON_ERROR:
.SECONDARY:

targets: $(targets:%=$(OUT)/%)

$(OUT)/%: $(OUT)/%.o $(frame) $(OUT)/rooms.a $(OUT)/nginx.a
	$(CC) $(CFLAGS) -fsanitize=fuzzer -Wl,--wrap=ngx_alloc -o $@ $^ $(libs)

$(OUT)/rooms.a: $(rooms:%=$(OUT)/ngx_zertiban_%.o)
	rm -f $@
	$(AR) rc $@ $^

# libFuzzer has a main() as well

$(OUT)/nginx.a: $(OBJS)/nginx
	rm -f $@
	$(compile).o -Dmain=nginx_main src/core/nginx.c
	$(AR) rc $@ $@.o \
	    $$(find $(OBJS) -name '*.o' ! -path $(OBJS)/src/core/nginx.o)

$(OUT)/%.o: $(FUZZ)/%.c $(sources)
	$(compile) $<

$(OUT)/%.o: %.c $(sources)
	$(compile) $<

.PHONY: targets
