/* snp_launch.c: the launch digest of SEV-SNP guests (SEV-SNP ABI, 8.17: PAGE_INFO), and of SEV and SEV-ES ones.
 */
#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "cvm-host/measure/measure.h"
#include "platform/base/bytes.h"

#define VMSA_GPA 0xfffffffff000ull
#define FOUR_GIB 0x100000000ull
#define BSP_EIP	 0xfffffff0u

enum page_type { PAGE_NORMAL = 1, PAGE_VMSA, PAGE_ZERO, PAGE_UNMEASURED, PAGE_SECRETS, PAGE_CPUID };

struct launch {
	EVP_MD_CTX *ctx;
	uint8_t digest[48];
	bool failed;
};

static void hash(struct launch *x, const void *data, size_t size, uint8_t out[48])
{
	if (EVP_DigestInit_ex(x->ctx, EVP_sha384(), NULL) != 1 || EVP_DigestUpdate(x->ctx, data, size) != 1 ||
	    EVP_DigestFinal_ex(x->ctx, out, NULL) != 1)
		x->failed = true;
}

/* `content` NULL: a page whose content isn't measured. */
static void update(struct launch *x, enum page_type type, uint64_t gpa, const uint8_t *content)
{
	uint8_t info[0x70] = {0};

	memcpy(info, x->digest, 48);
	if (content)
		hash(x, content, PAGE_SIZE, info + 48);
	put_le16(info + 96, sizeof(info));
	info[98] = (uint8_t)type;
	put_le64(info + 104, gpa);
	hash(x, info, sizeof(info), x->digest);
}

static void update_range(struct launch *x, enum page_type type, uint64_t gpa, const void *data, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE_SIZE)
		update(x, type, gpa + at, data ? (const uint8_t *)data + at : NULL);
}

static int hashes_page(struct launch *x, const struct snp_launch *l, const struct ovmf_section *s)
{
	uint8_t page[PAGE_SIZE] = {0};
	size_t at = l->info->hashes_gpa % PAGE_SIZE;

	if (!l->kernel) {
		update_range(x, PAGE_ZERO, s->gpa, NULL, s->size);
		return 0;
	}
	if (!l->info->has_hashes || s->size != PAGE_SIZE || at > PAGE_SIZE - KERNEL_TABLE_SIZE)
		return -EINVAL;
	kernel_table(l->kernel, page + at);
	update(x, PAGE_NORMAL, s->gpa, page);
	return 0;
}

static int sections(struct launch *x, const struct snp_launch *l)
{
	bool hashes = false;
	int ret = 0;

	for (size_t i = 0; i < l->info->section_count && ret == 0; i++) {
		const struct ovmf_section *s = &l->info->sections[i];

		switch (s->type) {
		case OVMF_SEC_MEM:
			update_range(x, l->vmm == VMM_GCE ? PAGE_UNMEASURED : PAGE_ZERO, s->gpa, NULL, s->size);
			break;
		case OVMF_SVSM_CAA:
			update_range(x, PAGE_ZERO, s->gpa, NULL, s->size);
			break;
		case OVMF_SECRETS:
			update(x, PAGE_SECRETS, s->gpa, NULL);
			break;
		case OVMF_CPUID:
			if (l->vmm != VMM_EC2)
				update(x, PAGE_CPUID, s->gpa, NULL);
			break;
		case OVMF_KERNEL_HASHES:
			hashes = true;
			ret = hashes_page(x, l, s);
			break;
		default:
			ret = -EINVAL;
		}
	}
	for (size_t i = 0; l->vmm == VMM_EC2 && i < l->info->section_count; i++)
		if (l->info->sections[i].type == OVMF_CPUID)
			update(x, PAGE_CPUID, l->info->sections[i].gpa, NULL);
	return ret < 0 ? ret : l->kernel && !hashes ? -ENOENT : 0;
}

static void vcpus(struct launch *x, const struct snp_launch *l, uint64_t svsm_gpa)
{
	uint8_t page[PAGE_SIZE];

	for (uint32_t i = 0; i < l->vcpus; i++) {
		if (l->svsm)
			vmsa_page(page, (uint32_t)svsm_gpa + l->info->svsm_launch_offset, l, true);
		else
			vmsa_page(page, i == 0 ? BSP_EIP : l->info->reset_eip, l, false);
		update(x, PAGE_VMSA, VMSA_GPA, page);
	}
}

static bool sane(const struct snp_launch *l)
{
	bool image = l->firmware && l->firmware_size && l->firmware_size % PAGE_SIZE == 0 &&
		     l->firmware_size <= 64u << 20;

	if (!l->vcpus || l->vcpus > MEASURE_VCPUS_MAX || (!image && !l->firmware_digest))
		return false;
	if (l->svsm &&
	    (!image || l->svsm_size % PAGE_SIZE || l->vars_size % PAGE_SIZE || l->svsm_size > 64u << 20 ||
	     l->vars_size > 64u << 20 || l->vmm != VMM_QEMU || l->kernel || !l->info->has_svsm_info))
		return false;
	return l->svsm || l->vcpus == 1 || l->info->has_reset;
}

int snp_launch_digest(const struct snp_launch *l, uint8_t out[48])
{
	struct launch x = {.ctx = EVP_MD_CTX_new()};
	uint64_t svsm_gpa = FOUR_GIB - l->firmware_size - l->vars_size - l->svsm_size;
	int ret = sane(l) ? 0 : -EINVAL;

	if (!x.ctx)
		ret = -ENOMEM;
	if (ret == 0) {
		if (l->firmware_digest)
			memcpy(x.digest, l->firmware_digest, 48);
		else
			update_range(&x, PAGE_NORMAL, FOUR_GIB - l->firmware_size, l->firmware,
				     l->firmware_size);
		if (l->svsm)
			update_range(&x, PAGE_NORMAL, svsm_gpa, l->svsm, l->svsm_size);
		ret = sections(&x, l);
	}
	if (ret == 0) {
		vcpus(&x, l, svsm_gpa);
		memcpy(out, x.digest, 48);
	}
	EVP_MD_CTX_free(x.ctx);
	return x.failed ? -ENOMEM : ret;
}

int snp_firmware_digest(const void *firmware, size_t size, uint8_t out[48])
{
	struct launch x = {.ctx = EVP_MD_CTX_new()};

	if (!x.ctx || size % PAGE_SIZE) {
		EVP_MD_CTX_free(x.ctx);
		return size % PAGE_SIZE ? -EINVAL : -ENOMEM;
	}
	update_range(&x, PAGE_NORMAL, FOUR_GIB - size, firmware, size);
	memcpy(out, x.digest, 48);
	EVP_MD_CTX_free(x.ctx);
	return x.failed ? -ENOMEM : 0;
}

int sev_launch_digest(const struct snp_launch *l, bool es, uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct snp_launch plain = *l;
	uint8_t table[KERNEL_TABLE_SIZE], page[PAGE_SIZE];
	bool ok;

	plain.features = 0;
	if (l->kernel && !l->info->has_hashes) {
		EVP_MD_CTX_free(ctx);
		return -ENOENT;
	}
	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, l->firmware, l->firmware_size) == 1;
	if (ok && l->kernel) {
		kernel_table(l->kernel, table);
		ok = EVP_DigestUpdate(ctx, table, sizeof(table)) == 1;
	}
	for (uint32_t i = 0; ok && es && i < l->vcpus; i++) {
		vmsa_page(page, i == 0 ? BSP_EIP : l->info->reset_eip, &plain, false);
		ok = EVP_DigestUpdate(ctx, page, sizeof(page)) == 1;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -ENOMEM;
}
