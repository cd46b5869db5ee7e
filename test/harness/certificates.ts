import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate and its key: paths, and the PEM texts in the form that the `tls` option of a peer takes. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly pem: { readonly cert: string; readonly key: string };
}

export interface CertificateOptions {
  /** Common name. */
  readonly name: string;
  /** Such as `DNS:sip.example.com` or `IP:127.0.0.2`. Default: the common name as DNS name. */
  readonly altNames?: readonly string[];
  /** Valid for one day in 2020. */
  readonly expired?: boolean;
  /** Valid from 2098 on. */
  readonly notYetValid?: boolean;
}

/** A certificate authority of one test. */
export interface Authority {
  /** Path of its own certificate. */
  readonly certificate: string;
  /** Its own certificate as PEM text. */
  readonly pem: string;
  /** A certificate for both ends of TLS, signed by this authority. */
  issue(options: CertificateOptions): Promise<Certificate>;
}

const DAY_2020 = ['20200101000000Z', '20200102000000Z'] as const;
const FROM_2098 = ['20980101000000Z', '20990101000000Z'] as const;
const NOW = ['20200101000000Z', '20990101000000Z'] as const;

/**
 * Makes a certificate authority with the openssl command. Its files and those of its certificates stay in
 * directories of their own below `directory`.
 * @throws Error with openssl's own words if it fails or is not installed
 */
export async function makeAuthority(directory: string, name: string): Promise<Authority> {
  const own = await selfSign(directory, name, [
    'basicConstraints=critical,CA:true',
    'keyUsage=critical,keyCertSign',
  ]);
  return {
    certificate: own.certificate,
    pem: own.pem.cert,
    issue: (options) => issue(directory, own, options),
  };
}

/** A certificate that is signed by its own key and by no authority. @throws Error as {@link makeAuthority} does */
export async function makeSelfSigned(directory: string, options: CertificateOptions): Promise<Certificate> {
  return selfSign(directory, options.name, [`subjectAltName=${altNames(options)}`]);
}

async function selfSign(
  directory: string,
  name: string,
  extensions: readonly string[],
): Promise<Certificate> {
  const files = await place(directory);
  await run('openssl', [
    ...[
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '3650',
    ],
    ...['-config', files.config, '-subj', `/CN=${name}`, '-keyout', files.key, '-out', files.certificate],
    ...extensions.flatMap((extension) => ['-addext', extension]),
  ]);
  return read(files);
}

async function issue(directory: string, by: Certificate, options: CertificateOptions): Promise<Certificate> {
  const files = await place(directory, [
    'basicConstraints=CA:false',
    'extendedKeyUsage=serverAuth,clientAuth',
    `subjectAltName=${altNames(options)}`,
  ]);
  await run('openssl', [
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-config', files.config, '-subj', `/CN=${options.name}`, '-keyout', files.key, '-out', files.request],
  ]);
  const [from, to] = options.expired ? DAY_2020 : options.notYetValid ? FROM_2098 : NOW;
  // `openssl ca` alone can set both dates in every version of OpenSSL 3.
  await run('openssl', [
    ...['ca', '-batch', '-notext', '-config', files.config, '-cert', by.certificate, '-keyfile', by.key],
    ...['-startdate', from, '-enddate', to, '-in', files.request, '-out', files.certificate],
  ]);
  return read(files);
}

interface Files {
  readonly config: string;
  readonly request: string;
  readonly certificate: string;
  readonly key: string;
}

/** A directory of its own for each certificate, so that several can be made at once. */
async function place(directory: string, extensions: readonly string[] = []): Promise<Files> {
  await mkdir(directory, { recursive: true });
  const own = await mkdtemp(join(directory, 'certificate-'));
  const config = join(own, 'openssl.cnf');
  await writeFile(join(own, 'index.txt'), '');
  await writeFile(
    config,
    [
      ...['[req]', 'distinguished_name = name', 'prompt = no', '[name]'],
      ...['[ca]', 'default_ca = authority', '[authority]', `database = ${join(own, 'index.txt')}`],
      ...[`new_certs_dir = ${own}`, 'rand_serial = yes', 'default_md = sha256', 'policy = policy'],
      ...['x509_extensions = extensions', '[policy]', 'commonName = supplied', '[extensions]', ...extensions],
      '',
    ].join('\n'),
  );
  return {
    config,
    request: join(own, 'request.pem'),
    certificate: join(own, 'certificate.pem'),
    key: join(own, 'key.pem'),
  };
}

async function read({ certificate, key }: Files): Promise<Certificate> {
  const [cert, keyText] = await Promise.all([readFile(certificate, 'utf8'), readFile(key, 'utf8')]);
  return { certificate, key, pem: { cert, key: keyText } };
}

function altNames({ name, altNames = [`DNS:${name}`] }: CertificateOptions): string {
  return altNames.join(',');
}
