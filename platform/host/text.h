/* text.h: the program's own code in memory. */
#pragma once

/* Lets go of the pages of the program's code and constants, which come back from its file when they are next
 * needed: for who has started something and may now wait for days. What was used to start is most of what is
 * there. */
void text_release(void);
