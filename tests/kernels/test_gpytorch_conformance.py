"""The tests that GPyTorch ships for kernels, for both kernels, dense and convolutional."""

from __future__ import annotations

from unittest import TestCase

from gpytorch.test.base_kernel_test_case import BaseKernelTestCase

from ntk_sklearn.kernels import NNGPKernel, NTKKernel
from ntk_sklearn.networks import Convolutional, FullyConnected


class Dense(BaseKernelTestCase):
    def create_kernel_no_ard(self, **kwargs):
        return self.kind(FullyConnected(2), **kwargs)

    def create_kernel_ard(self, num_dims, **kwargs):
        return self.kind(FullyConnected(2), ard_num_dims=num_dims, **kwargs)


class Images(BaseKernelTestCase):
    def create_kernel_no_ard(self, **kwargs):
        return self.kind(Convolutional(1), image_shape=(1, -1), **kwargs)

    def create_kernel_ard(self, num_dims, **kwargs):
        return self.create_kernel_no_ard(ard_num_dims=num_dims, **kwargs)


class TestDenseNTK(Dense, TestCase):
    kind = NTKKernel


class TestDenseNNGP(Dense, TestCase):
    kind = NNGPKernel


class TestImagesNTK(Images, TestCase):
    kind = NTKKernel


class TestImagesNNGP(Images, TestCase):
    kind = NNGPKernel
