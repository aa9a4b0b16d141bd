// Components in runes mode only: one way to hold state.
export default { compilerOptions: { runes: true } };
