// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Names for addresses of code. The dynamic linker knows which file an address is
 * in, and its exported functions; the file's own table of symbols, where it was
 * not stripped, knows the others too. It is read anew for each address, since
 * nobody is in a hurry then. Nothing in the file is believed without a look.
 */
#define _GNU_SOURCE /* dladdr1() */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* A file, mapped. */
struct image {
	const char *data;
	uint64_t bytes;
};

static bool image_open(struct image *out, const char *path)
{
	struct stat st;
	void *data = MAP_FAILED;
	int fd = tmk__fault("symbols") ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0)
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
			    fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return false;
	out->data = data;
	out->bytes = (uint64_t)st.st_size;
	return true;
}

/* A part of it. Return: NULL if it is not all there, or at an odd place. */
static const void *image_part(const struct image *image, uint64_t offset,
			      uint64_t nr, uint64_t size)
{
	if (offset > image->bytes || offset % 8 ||
	    nr > (image->bytes - offset) / size)
		return NULL;
	return image->data + offset;
}

static const Elf64_Shdr *sections(const struct image *image, uint32_t *nr)
{
	const Elf64_Ehdr *head = image_part(image, 0, 1, sizeof(*head));

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	*nr = head->e_shnum;
	return image_part(image, head->e_shoff, *nr, sizeof(Elf64_Shdr));
}

/* The function in a table that an address is in. */
static bool table_find(struct tmk__symbol *out, const struct image *image,
		       const Elf64_Shdr *table, const Elf64_Shdr *names)
{
	uint64_t nr = table->sh_size / sizeof(Elf64_Sym), i;
	const Elf64_Sym *sym =
		image_part(image, table->sh_offset, nr, sizeof(*sym));

	if (!sym || names->sh_offset > image->bytes ||
	    names->sh_size > image->bytes - names->sh_offset)
		return false;
	for (i = 0; i < nr; i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC ||
		    out->at - sym[i].st_value >= sym[i].st_size ||
		    sym[i].st_name >= names->sh_size)
			continue;
		out->into = out->at - sym[i].st_value;
		snprintf(out->name, sizeof(out->name), "%.*s",
			 (int)TMK__MIN(names->sh_size - sym[i].st_name,
				       sizeof(out->name)),
			 image->data + names->sh_offset + sym[i].st_name);
		return true;
	}
	return false;
}

static bool image_find(struct tmk__symbol *out, const struct image *image)
{
	const Elf64_Shdr *section;
	uint32_t nr = 0, i;

	section = sections(image, &nr);
	for (i = 0; section && i < nr; i++)
		if (section[i].sh_type == SHT_SYMTAB &&
		    section[i].sh_link < nr &&
		    table_find(out, image, &section[i],
			       &section[section[i].sh_link]))
			return true;
	return false;
}

static void object_name(struct tmk__symbol *out, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	snprintf(out->object, sizeof(out->object), "%s",
		 slash ? slash + 1 :
		 path  ? path :
			 "?");
}

/**
 * tmk__symbol_find() - what is at an address of code?
 * @out: filled in, as far as that can be known
 * @pc: a return address: what is meant is the call before it
 */
void tmk__symbol_find(struct tmk__symbol *out, const void *pc)
{
	const char *call = (const char *)pc - 1;
	struct link_map *map = NULL, *own = NULL;
	Dl_info info, unused;
	struct image image;
	bool found = false;

	memset(out, 0, sizeof(*out));
	out->at = (uintptr_t)call;
	if (!dladdr1(call, &info, (void **)&map, RTLD_DL_LINKMAP) || !map) {
		object_name(out, NULL);
		return;
	}
	object_name(out, info.dli_fname);
	out->at -= map->l_addr;
	if (map->l_name[0] && dladdr1((void *)tmk__symbol_find, &unused,
				      (void **)&own, RTLD_DL_LINKMAP))
		out->ours = own == map;
	if (image_open(&image,
		       map->l_name[0] ? map->l_name : "/proc/self/exe")) {
		found = image_find(out, &image);
		munmap((void *)image.data, image.bytes);
	}
	if (found || !info.dli_sname)
		return;
	out->into = (uintptr_t)call - (uintptr_t)info.dli_saddr;
	snprintf(out->name, sizeof(out->name), "%s", info.dli_sname);
}
