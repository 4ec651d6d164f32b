"""Network architectures. Each module but `layers` holds a generator and a discriminator.

layers: initializations and layers that several architectures share
dcgan: strided and transposed convolutions with BatchNorm (dcgan64, wgan-gp64)
strided: DCGAN with a linear layer, optional residual blocks and dropout (dcgan32)
upsampling: upsampling generator, max-pooling discriminator, and an encoder (balanced64, vae64, vaegan64)
modulated: smaller upsampling networks, modulated by the latent, conditional (quick)
progressive: networks that grow from 4x4 (progressive64)
gray, elu: the networks of two texts (gray-dcgan64, elu36)
"""
