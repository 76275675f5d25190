/* fuzz_json: our reader takes what jansson takes and understands the same by it. */
#include "tests/json_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t out[64];
        reference_compare(span_of(data, size));
        assert(json_write_string(out, sizeof(out), span_of(data, size)) <= sizeof(out));
        return 0;
}
