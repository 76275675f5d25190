/* hostport: see hostport.h. */
#include "engine/base/hostport.h"

struct hostport hostport_of(struct span text)
{
        struct hostport parts = {.host = text};
        size_t colon = text.size;
        uint32_t port = 0;
        while (colon > 0 && text.bytes[colon - 1] != ':')
                colon--;
        if (colon == 0 || colon == text.size)
                return parts;
        for (size_t i = colon; i < text.size; i++) {
                if (text.bytes[i] < '0' || text.bytes[i] > '9')
                        return parts;
                port = port * 10 + (text.bytes[i] - '0');
                if (port > UINT16_MAX)
                        return parts;
        }
        parts.port = (uint16_t)port;
        parts.host.size = colon - 1;
        parts.is_bracketed = parts.host.size >= 2 && text.bytes[0] == '[' && text.bytes[parts.host.size - 1] == ']';
        if (parts.is_bracketed)
                parts.host = span_of(text.bytes + 1, parts.host.size - 2);
        return parts;
}
