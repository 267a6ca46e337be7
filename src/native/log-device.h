/* One open log device, on a thread of its own, in a table of descriptors of its own. */
#ifndef LOG_DEVICE_H
#define LOG_DEVICE_H

/* Serves the place until it is asked to close the device, or could not open it. */
void serve_device(unsigned place);

#endif
