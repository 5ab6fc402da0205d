// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Many regions in many groups: what the next one costs, what each holds of the
 * kernel's memory, whether sysfs can still be read, and whether all of it comes
 * back. Prints one JSON object.
 *
 *	guest_objects [REGIONS [GROUPS]]
 *
 * For a guest whose time-stamp counter counts instructions. One process does it
 * all and goes from group to group, each with the memory controller. Every group
 * has a limit from the start, so that it is there before its first region.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/resource.h>

#include "guest_util.h"

#define TENTHS 10
#define CACHES_MAX 512
#define SPARE_FDS 64

/**
 * struct memory - what the kernel holds, in bytes
 * @free: what it has left
 * @names: caches of the slab allocator
 * @slab: bytes of the pages of each
 * @nr: how many there are
 */
struct memory {
	long long free;
	char names[CACHES_MAX][64];
	long long slab[CACHES_MAX];
	int nr;
};

static long long meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long long kib = -1;
	char line[128];

	if (!f)
		die("/proc/meminfo");
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kib = atoll(line + strlen(key));
	fclose(f);
	return kib * 1024;
}

static void slabinfo(struct memory *m)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	long long per_slab, slabs;
	char line[512];

	if (!f)
		die("/proc/slabinfo");
	m->nr = 0;
	while (m->nr < CACHES_MAX && fgets(line, sizeof(line), f)) {
		char *data = strstr(line, ": slabdata");

		if (!data ||
		    sscanf(line, "%63s %*d %*d %*d %*d %lld", m->names[m->nr],
			   &per_slab) != 2 ||
		    sscanf(data, ": slabdata %*d %lld", &slabs) != 1)
			continue;
		m->slab[m->nr++] = slabs * per_slab * PAGE_BYTES;
	}
	fclose(f);
}

/* What is only cached goes first; RCU gets its time. */
static void look(struct memory *m)
{
	int i;

	for (i = 0; i < 3; i++) {
		write_text("/proc/sys/vm/drop_caches", "3");
		usleep(300000);
	}
	m->free = meminfo("MemFree:");
	slabinfo(m);
}

/* The kernel's bytes for each of @nr objects, @own of which are its own pages. */
static void print_memory(const char *name, const struct memory *before,
			 const struct memory *after, long nr, long long own)
{
	long long total = 0;
	int i, j, listed = 0;

	printf(",\n  \"%s\": {\"bytes\": %lld, \"caches\": {", name,
	       (before->free - after->free) / nr - own);
	for (i = 0; i < after->nr; i++) {
		long long bytes = after->slab[i];

		for (j = 0; j < before->nr; j++)
			if (!strcmp(before->names[j], after->names[i]))
				bytes -= before->slab[j];
		total += bytes;
		if (bytes / nr >= 16)
			printf("%s\"%s\": %lld", listed++ ? ", " : "",
			       after->names[i], bytes / nr);
	}
	printf("}, \"slab\": %lld}", total / nr);
}

static void print_tenths(const char *name, const long long *tenth, long nr)
{
	int i;

	printf(",\n  \"%s\": [", name);
	for (i = 0; i < TENTHS; i++)
		printf("%s%lld", i ? ", " : "", tenth[i] * TENTHS / nr);
	printf("]");
}

static void group_name(char *group, long i)
{
	sprintf(group, "/m%ld", i);
}

/* Make or lift a limit on each group. Return: instructions. */
static long long set_limits(long groups, const char *max)
{
	char line[64], group[32];
	long long begin = now();
	long i;

	for (i = 0; i < groups; i++) {
		group_name(group, i);
		snprintf(line, sizeof(line), "%s max=%s", group, max);
		write_text(SYSFS "/control", line);
	}
	return now() - begin;
}

static void create_all(int dev, int *fds, long regions, long groups)
{
	long long tenth[TENTHS] = { 0 };
	char group[32];
	long i, n = 0;

	for (i = 0; i < groups; i++) {
		group_name(group, i);
		cgroup_enter(group);
		for (; n < regions * (i + 1) / groups; n++) {
			long long begin = now();

			fds[n] = region_create(dev);
			tenth[n * TENTHS / regions] += now() - begin;
		}
	}
	cgroup_enter("");
	print_tenths("create", tenth, regions);
}

static void destroy_all(int *fds, long regions)
{
	long long tenth[TENTHS] = { 0 };
	long n;

	for (n = 0; n < regions; n++) {
		long long begin = now();

		close(fds[n]);
		tenth[n * TENTHS / regions] += now() - begin;
	}
	print_tenths("destroy", tenth, regions);
}

static long list_groups(void)
{
	DIR *d = opendir(SYSFS "/cgroups");
	long entries = 0;

	if (!d)
		die(SYSFS "/cgroups");
	while (readdir(d))
		entries++;
	closedir(d);
	return entries - 2; /* less itself and its parent */
}

/* List the groups, read a file of each. */
static void read_sysfs(long groups)
{
	unsigned long long sum = 0;
	long long begin = now(), listing;
	char path[PATH_MAX], group[32];
	long i, entries = list_groups();

	listing = now() - begin;
	begin = now();
	for (i = 0; i < groups; i++) {
		group_name(group, i);
		snprintf(path, sizeof(path), SYSFS "/cgroups/%llu/current",
			 cgroup_id(group));
		sum += read_number(path);
	}
	printf(",\n  \"sysfs\": {\"entries\": %ld, \"list\": %lld, ", entries,
	       listing);
	printf("\"read_each\": %lld, \"sum_of_current\": %llu}",
	       (now() - begin) / groups, sum);
}

static void all_groups(long groups, void (*what)(const char *group))
{
	char group[32];
	long i;

	for (i = 0; i < groups; i++) {
		group_name(group, i);
		what(group);
	}
}

/* The table of descriptors grows once, before anything is measured. */
static void room_for_fds(int dev, long nr)
{
	struct rlimit limit = { (rlim_t)nr + SPARE_FDS,
				(rlim_t)nr + SPARE_FDS };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("RLIMIT_NOFILE");
	if (dup2(dev, (int)nr + SPARE_FDS - 1) < 0)
		die("dup2");
}

int main(int argc, char **argv)
{
	static struct memory start, limited, full, end;
	long regions = argc > 1 ? atol(argv[1]) : 100000;
	long groups = argc > 2 ? atol(argv[2]) : 1000;
	int dev = device_open();
	long long made;
	int *fds;

	if (groups < 1 || regions < TENTHS || regions < groups) {
		fprintf(stderr, "guest_objects: too few\n");
		return 2;
	}
	fds = calloc((size_t)regions, sizeof(*fds));
	if (!fds)
		die("calloc");
	memset(fds, 0xff, (size_t)regions * sizeof(*fds));
	room_for_fds(dev, regions);
	all_groups(groups, cgroup_make);
	look(&start);
	made = set_limits(groups, "1G");
	look(&limited);
	printf("{\"regions\": %ld, \"groups\": %ld, \"make_group\": %lld",
	       regions, groups, made / groups);
	print_memory("memory_group", &start, &limited, groups, 0);
	create_all(dev, fds, regions, groups);
	look(&full);
	print_memory("memory_region", &limited, &full, regions, PAGE_BYTES);
	read_sysfs(groups);
	destroy_all(fds, regions);
	set_limits(groups, "max");
	look(&end);
	printf(",\n  \"left\": {\"current\": %llu, \"entries\": %ld, ",
	       read_number(SYSFS "/current"), list_groups());
	printf("\"memfree_bytes\": %lld}\n}\n", start.free - end.free);
	all_groups(groups, cgroup_remove);
	return 0;
}
