"""What Jupyter starts: ``python -m mtor_kernel.kernel -f CONNECTION_FILE``."""

from ipykernel.kernelapp import IPKernelApp

from mtor_kernel.kernel.kernel import MtorKernel

if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=MtorKernel)
