"""From a run to a bundle: conversion, parity, benchmark, model card."""
