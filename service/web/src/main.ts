/** The page begins here. */

import { mount } from 'svelte';

import App from './App.svelte';
import './app.css';
import { language } from './i18n/language.svelte.ts';
import { theme } from './shell/theme.svelte.ts';

document.documentElement.lang = language.current;
theme.apply();

const target = document.getElementById('app');
if (target === null) throw new Error('index.html has no #app');
mount(App, { target });
