"""The peers of the certification: Debian's own Xen and KVM, each booted whole in the emulator that also runs Janus."""
