/*
 * Writes one event as blocks of a trace: the input, the datagrams sent, the other effects. The bytes depend on the event alone, so
 * that they are the same that src/common/trace/event-writer.ts writes for it.
 */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

/* Memory of fixed size that is filled with blocks. */
struct trace_buffer { uint32_t *words; uint64_t size, room; };

enum start { START_FRESH, START_SNAPSHOT, START_UNKNOWN };

/* Each appends to the buffer, or returns false where it has no room; then nothing is written. */
bool write_event(struct trace_buffer *buffer, uint32_t effects_bytes);
bool write_trap(struct trace_buffer *buffer, const char *reason);
bool write_section(struct trace_buffer *buffer, enum start start, uint64_t first_event);
bool write_section_end(struct trace_buffer *buffer, uint64_t time_ns);
/* All of linear memory, as it is before the event. */
bool write_snapshot(struct trace_buffer *buffer, uint64_t first_event, uint64_t time_ns);

#endif
