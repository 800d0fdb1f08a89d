/* blob.S: the stub's text, to be copied into guest processes. */
	.section .rodata, "a"
	.balign	16
	.globl	systrap_stub_start, systrap_stub_end
systrap_stub_start:
	.incbin STUB_BLOB
systrap_stub_end:
	.section .note.GNU-stack, "", @progbits
