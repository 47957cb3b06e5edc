# Built in the cluster: compiles the module for the kernel that the build is for. As the Dockerfile of a Git repository it has the sources
# beside it; as an inline Dockerfile it has nothing beside it, and takes them from an image (inlineDockerfile() in bed/building.ts).
ARG TOOLCHAIN
ARG RUNTIME
FROM ${TOOLCHAIN} AS build
ARG KERNEL_FULL_VERSION
COPY . /src/
RUN make -C /src KDIR=/usr/src/linux-headers-${KERNEL_FULL_VERSION}

FROM ${RUNTIME}
ARG KERNEL_FULL_VERSION
COPY --from=build /src/kmm_hello.ko /opt/lib/modules/${KERNEL_FULL_VERSION}/
RUN /sbin/depmod -b /opt ${KERNEL_FULL_VERSION}
COPY --from=build /src/kmm_hello.conf /etc/modprobe.d/
# Whatever mode it was committed with.
COPY --from=build --chmod=0755 /src/load.sh /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/load.sh"]
