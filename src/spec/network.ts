/** How what goes over the network may be asked to be compressed; MySQL and MariaDB know zlib. */
export const NETWORK_CODECS = ['zlib', 'lz4'] as const

export type NetworkCodec = (typeof NETWORK_CODECS)[number]
