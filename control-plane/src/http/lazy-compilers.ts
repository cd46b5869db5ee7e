import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler';
import { type SerializerFactory, SerializerSelector } from '@fastify/fast-json-stringify-compiler';

const buildValidators = AjvCompiler();
const buildSerializers = SerializerSelector();

/**
 * Fastify's own compilers of schemas, each of which is compiled when it is first used: to compile those of all routes
 * takes longer than the rest of a start.
 */
export const lazyCompilers: { buildValidator: BuildCompilerFromPool; buildSerializer: SerializerFactory } = {
  buildValidator(schemas, options) {
    const compile = buildValidators(schemas, options);
    return (route) => {
      let compiled: ReturnType<typeof compile> | undefined;
      const validate = ((data: unknown) => {
        compiled ??= compile(route);
        const verdict = compiled(data);
        validate.errors = compiled.errors ?? null;
        return verdict;
      }) as ReturnType<typeof compile>;
      return validate;
    };
  },
  buildSerializer(schemas, options) {
    const compile = buildSerializers(schemas, options);
    return (route) => {
      let compiled: ReturnType<typeof compile> | undefined;
      return (value) => {
        compiled ??= compile(route);
        return compiled(value);
      };
    };
  },
};
