/* roots.S: the vendors' trust anchors (and AMD's intermediate keys, which every report of a product shares), as they
 * are in roots/. */
	.section .rodata

	.macro root name, file
	.globl \name
	.globl \name\()_end
\name:
	.incbin "cvm-host/attest/roots/\file"
\name\()_end:
	.byte 0
	.endm

	root root_amd_ark_milan, amd_ark_milan.der
	root root_amd_ark_genoa, amd_ark_genoa.der
	root root_amd_ark_turin, amd_ark_turin.der
	root root_amd_ask_milan, amd_ask_milan.der
	root root_amd_ask_genoa, amd_ask_genoa.der
	root root_amd_ask_turin, amd_ask_turin.der
	root root_amd_asvk_milan, amd_asvk_milan.der
	root root_amd_asvk_genoa, amd_asvk_genoa.der
	root root_amd_asvk_turin, amd_asvk_turin.der
	root root_intel_sgx, intel_sgx_root.der
	root root_aws_nitro, aws_nitro_root.der
	root root_nvidia_device, nvidia_device_root.der
	root root_nvidia_rim, nvidia_rim_root.der

	.section .note.GNU-stack, "", @progbits
