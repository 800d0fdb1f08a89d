/* names.c: the names of kinds, states and outcomes. */
#include <errno.h>
#include <string.h>

#include "cvm-host/attest/evidence.h"

static const char *const kinds[ATTEST_KIND_COUNT] = {
	[ATTEST_AUTO] = "auto",	    [ATTEST_SNP] = "snp",     [ATTEST_TDX] = "tdx", [ATTEST_SGX] = "sgx",
	[ATTEST_CCA] = "cca",	    [ATTEST_NITRO] = "nitro", [ATTEST_TPM] = "tpm", [ATTEST_AZ_SNP] = "az-snp",
	[ATTEST_AZ_TDX] = "az-tdx", [ATTEST_GPU] = "gpu",
};

static const char *const statuses[TCB_STATUS_COUNT] = {
	[TCB_UP_TO_DATE] = "UpToDate",
	[TCB_SW_HARDENING_NEEDED] = "SWHardeningNeeded",
	[TCB_CONFIGURATION_NEEDED] = "ConfigurationNeeded",
	[TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = "ConfigurationAndSWHardeningNeeded",
	[TCB_RELAUNCH_ADVISED] = "TDRelaunchAdvised",
	[TCB_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = "TDRelaunchAdvisedConfigurationNeeded",
	[TCB_OUT_OF_DATE] = "OutOfDate",
	[TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "OutOfDateConfigurationNeeded",
	[TCB_REVOKED] = "Revoked",
	[TCB_UNRECOGNIZED] = "Unrecognized",
};

const char *attest_kind_name(enum attest_kind kind)
{
	return kind < ATTEST_KIND_COUNT ? kinds[kind] : "unknown";
}

int attest_kind_of(const char *name, enum attest_kind *out)
{
	for (int i = 0; i < ATTEST_KIND_COUNT; i++)
		if (strcmp(kinds[i], name) == 0) {
			*out = (enum attest_kind)i;
			return 0;
		}
	return -ENOENT;
}

const char *attest_tcb_status_name(enum attest_tcb_status status)
{
	return status < TCB_STATUS_COUNT ? statuses[status] : "unknown";
}

const char *attest_outcome_name(enum attest_outcome outcome)
{
	switch (outcome) {
	case CHECK_PASSED:
		return "passed";
	case CHECK_FAILED:
		return "FAILED";
	case CHECK_WAIVED:
		return "waived";
	case CHECK_SKIPPED:
		return "skipped";
	}
	return "unknown";
}
