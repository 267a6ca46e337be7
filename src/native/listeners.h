/* Who else receives the kernel's requests. */
#ifndef LISTENERS_H
#define LISTENERS_H

/* Looks once, and says what is new. */
void look_at_listeners(void);

#endif
