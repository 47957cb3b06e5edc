// SPDX-License-Identifier: GPL-2.0
/*
 * A character device, /dev/kmm_hello, that says which kernel the module was compiled for and whom it greets.
 * While the device is open, the module cannot be unloaded.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/uaccess.h>
#include <generated/utsrelease.h>

static char *who = "nobody";
module_param(who, charp, 0444);
MODULE_PARM_DESC(who, "whom the device greets");

static ssize_t kmm_hello_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	char line[160];
	int length = scnprintf(line, sizeof(line), "hello %s from " UTS_RELEASE "\n", who);

	return simple_read_from_buffer(to, size, at, line, length);
}

/* The owner is what counts the open files. */
static const struct file_operations kmm_hello_operations = {
	.owner = THIS_MODULE,
	.read = kmm_hello_read,
	.llseek = default_llseek,
};

static struct miscdevice kmm_hello_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kmm_hello",
	.fops = &kmm_hello_operations,
	.mode = 0444,
};

static int __init kmm_hello_init(void)
{
	int error = misc_register(&kmm_hello_device);

	if (error)
		return error;
	pr_info("kmm_hello: loaded, made for " UTS_RELEASE ", greets %s\n", who);
	return 0;
}

static void __exit kmm_hello_exit(void)
{
	misc_deregister(&kmm_hello_device);
	pr_info("kmm_hello: unloaded\n");
}

module_init(kmm_hello_init);
module_exit(kmm_hello_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a device that greets");
MODULE_VERSION("1.0");
